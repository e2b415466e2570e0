//! Accounts over HTTP: sign-up, verification, sign-in and sign-out, sessions, passwords, and attacks on them.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use portcullis_runtime::metrics::Metric;
use portcullis_tests::{Answer, Person, System, send};
use reqwest::Method;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn a_person_signs_up_verifies_signs_in_and_out() {
    let system = System::start().await;
    let ada = Person::new(&system, "Ada@Example.com");
    let answer = ada.post("sign-up/email", &json!({ "name": " Ada ", "email": ada.email, "password": PASSWORD })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let user = &answer.json()["user"];
    assert_eq!(answer.json()["token"], Value::Null);
    assert_eq!(
        (&user["email"], &user["name"], &user["emailVerified"]),
        (&"ada@example.com".into(), &"Ada".into(), &false.into())
    );
    assert_eq!(answer.header("set-cookie"), "");

    // Sign-in requires a verified address.
    let early = ada.sign_in(PASSWORD).await;
    assert_eq!((early.status.as_u16(), early.json()["code"].as_str()), (403, Some("EMAIL_NOT_VERIFIED")));
    let wrong = ada.post("email-otp/verify-email", &json!({ "email": ada.email, "otp": "000000" })).await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["code"].as_str()), (400, Some("INVALID_OTP")));
    let verified =
        ada.post("email-otp/verify-email", &json!({ "email": ada.email, "otp": ada.mailed_code().await })).await;
    assert_eq!(
        (verified.status.as_u16(), &verified.json()["user"]["emailVerified"]),
        (200, &true.into()),
        "{verified:?}"
    );

    let signed_in = ada.sign_in(PASSWORD).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let cookie = signed_in.header("set-cookie");
    assert!(cookie.starts_with("better-auth.session_token="), "{cookie:.30}");
    assert!(cookie.ends_with("; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax"));
    let ada = ada.with_cookie_of(&signed_in);
    let session = ada.get("get-session").await.json();
    assert_eq!(session["user"]["email"], "ada@example.com");
    assert_eq!(session["session"]["token"], signed_in.json()["token"]);
    // The id that a page's script can read names the session but does not authenticate.
    assert!(!cookie.contains(signed_in.json()["token"].as_str().unwrap()));
    assert_eq!(ada.get("list-sessions").await.json().as_array().unwrap().len(), 1);

    let out = ada.post("sign-out", &json!({})).await;
    assert_eq!((out.status.as_u16(), out.json()), (200, json!({ "success": true })));
    assert!(out.header("set-cookie").contains("; Max-Age=0"));
    assert_eq!(ada.get("get-session").await.json(), Value::Null);
    assert_eq!(ada.get("list-sessions").await.status, 401);
}

#[tokio::test]
async fn a_link_verifies_once_and_leads_on() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com");
    ada.sign_up(PASSWORD).await;
    let link = ada.mailed_link().await;
    let follow = async || {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        client.get(&link).send().await.unwrap()
    };
    let first = follow().await;
    assert_eq!(first.status(), 303);
    assert_eq!(first.headers()["location"], format!("{}/", system.stack.base_url()));
    let second = follow().await;
    assert_eq!(second.headers()["location"], format!("{}/?error=INVALID_TOKEN", system.stack.base_url()));
    assert_eq!(ada.sign_in(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn thirty_sign_ups_of_one_address_make_one_account() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com");
    let answers = join_all((0..30).map(|_| ada.sign_up(PASSWORD))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.json()["token"].is_null()), "{answers:?}");
    let mails = ada.mails().await.len();
    assert!((1..=10).contains(&mails), "{mails}");
    // Concurrent sign-ups send several mails; those of the last sign-up are valid.
    for mail in ada.mails().await {
        let link = mail["text"].as_str().unwrap().lines().find(|line| line.starts_with("http")).unwrap().to_owned();
        reqwest::get(link).await.unwrap();
    }
    let ada = ada.signed_in(PASSWORD).await;
    // After the hour, a sign-up with a taken address gets the same answer, and its owner a mail.
    system.clock.advance(Duration::from_hours(1));
    let mails = ada.mails().await.len();
    let again = ada.sign_up("another password").await;
    assert_eq!((again.status.as_u16(), &again.json()["user"]["emailVerified"]), (200, &false.into()));
    assert_eq!(ada.mails().await.len(), mails + 1);
    assert_eq!(ada.sign_in("another password").await.status, 401);
    assert_eq!(ada.sign_in(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn who_signed_up_with_a_strangers_address_gets_nothing_when_it_is_verified() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com");
    ada.sign_up("password of a thief").await;
    let (link, code) = (ada.mailed_link().await, ada.mailed_code().await);
    ada.sign_up(PASSWORD).await;
    // The code and the link of the thief's sign-up are invalid now.
    assert!(reqwest::get(&link).await.unwrap().url().as_str().contains("INVALID_TOKEN"));
    let old = ada.post("email-otp/verify-email", &json!({ "email": ada.email, "otp": code })).await;
    assert_eq!(old.status, 400);
    let ada = ada.verified(PASSWORD).await;
    assert_eq!(ada.sign_in("password of a thief").await.status, 401);
    assert_eq!(ada.sign_in(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn an_unknown_address_and_a_wrong_password_cost_and_say_the_same() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let hashed = || system.stack.environment().metrics.total(Metric::PasswordHashed);
    let try_one = async |person: &Person<'_>| {
        let before = hashed();
        let answer = person.sign_in("a wrong password").await;
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("requestId");
        (answer.status.as_u16(), body, hashed() - before)
    };
    let nobody = Person::new(&system, "nobody@example.com");
    // Each account has its own limit of tries; the client's address has five in all.
    let (known, unknown) = (try_one(&ada).await, try_one(&nobody).await);
    assert_eq!(known, unknown);
    assert_eq!((known.0, known.1["code"].as_str(), known.2), (401, Some("INVALID_EMAIL_OR_PASSWORD"), 1));
    for _ in 0..3 {
        try_one(&ada).await;
    }
    // Both are locked: the answers are the same again, and no password is hashed.
    let (known, unknown) = (try_one(&ada).await, try_one(&nobody).await);
    assert_eq!(known, unknown);
    assert_eq!((known.0, known.2), (429, 0));
}

#[tokio::test]
async fn fifty_guesses_at_once_get_five_answers_at_most_and_spoofed_addresses_change_nothing() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let guess = async |number: usize| {
        let body = json!({ "email": ada.email, "password": format!("a wrong password {number}") });
        let request = system.request(Method::POST, "/api/auth/sign-in/email").json(&body);
        send(request.header("x-forwarded-for", format!("192.0.2.{number}"))).await
    };
    let answers = join_all((0..50).map(guess)).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    // With this many at once, the server may also answer 503 because all cores are busy.
    assert_eq!(with(401) + with(429) + with(503), 50);
    // Fewer than five if the account's limit let a guess through and the address's tries were used up.
    assert!((1..=5).contains(&with(401)), "{}", with(401));
    let locked = ada.sign_in(PASSWORD).await;
    assert_eq!(
        (locked.status.as_u16(), locked.header("x-retry-after"), locked.header("retry-after")),
        (429, "30", "30")
    );
    system.clock.advance(Duration::from_secs(30));
    assert_eq!(ada.sign_in(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_code_has_three_tries_however_many_come_at_once() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com");
    ada.sign_up(PASSWORD).await;
    let code = ada.mailed_code().await;
    let wrong = if code == "123456" { "654321" } else { "123456" };
    let guess = |otp: &str| {
        let body = json!({ "email": ada.email, "otp": otp });
        let ada = &ada;
        async move { ada.post("email-otp/verify-email", &body).await }
    };
    let answers = join_all((0..20).map(|_| guess(wrong))).await;
    let codes = |answers: &[Answer], code: &str| answers.iter().filter(|answer| answer.json()["code"] == code).count();
    assert_eq!((codes(&answers, "INVALID_OTP"), codes(&answers, "TOO_MANY_ATTEMPTS")), (3, 17));
    assert_eq!(guess(&code).await.json()["code"], "TOO_MANY_ATTEMPTS");
    // A new code has its own tries and expires after ten minutes.
    ada.post("email-otp/send-verification-otp", &json!({ "email": ada.email, "type": "email-verification" })).await;
    let code = ada.mailed_code().await;
    system.clock.advance(Duration::from_mins(10));
    assert_eq!(guess(&code).await.json()["code"], "OTP_EXPIRED");
}

#[tokio::test]
async fn a_reset_link_works_once_and_ends_all_sessions() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let asked = json!({ "email": ada.email, "redirectTo": "/new-password" });
    for email in ["ada@example.com", "nobody@example.com"] {
        let answer =
            ada.post("request-password-reset", &json!({ "email": email, "redirectTo": "/new-password" })).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &true.into()));
    }
    let first = ada.mailed_token().await;
    ada.post("request-password-reset", &asked).await;
    let second = ada.mailed_token().await;
    let reset = async |token: &str| {
        ada.post("reset-password", &json!({ "token": token, "newPassword": "a wholly new password" })).await
    };
    let (one, other) = tokio::join!(reset(&second), reset(&second));
    let statuses = BTreeSet::from([one.status.as_u16(), other.status.as_u16()]);
    assert_eq!(statuses, BTreeSet::from([200, 400]), "of two at once one wins");
    // The second link was mailed before the password changed.
    for used in [&first, &second, "no token"] {
        assert_eq!(reset(used).await.json()["code"], "INVALID_TOKEN");
    }
    assert_eq!(ada.get("get-session").await.json(), Value::Null);
    assert_eq!(ada.sign_in(PASSWORD).await.status, 401);
    assert_eq!(ada.sign_in("a wholly new password").await.status, 200);
}

#[tokio::test]
async fn another_password_ends_the_other_sessions_and_renews_this_one() {
    let system = System::start().await;
    let here = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let signed_in = here.sign_in(PASSWORD).await;
    let there = Person::new(&system, "ada@example.com").with_cookie_of(&signed_in);
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "a wholly new password" });
    let wrong = json!({ "currentPassword": "not the password", "newPassword": "a wholly new password" });
    assert_eq!(here.post("change-password", &wrong).await.json()["code"], "INVALID_PASSWORD");
    let short = json!({ "currentPassword": PASSWORD, "newPassword": "short" });
    assert_eq!(here.post("change-password", &short).await.json()["code"], "PASSWORD_TOO_SHORT");
    let changed = here.post("change-password", &change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(here.get("get-session").await.json(), Value::Null, "the old token is worth nothing");
    assert_eq!(there.get("get-session").await.json(), Value::Null);
    let here = here.with_cookie_of(&changed);
    assert_eq!(here.get("get-session").await.json()["user"]["email"], "ada@example.com");
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_at_once_and_only_ones_own() {
    let system = System::start().await;
    let here = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let there = Person::new(&system, "ada@example.com").with_cookie_of(&here.sign_in(PASSWORD).await);
    let bob = Person::new(&system, "bob@example.com").registered(PASSWORD).await;
    let id_of = async |person: &Person<'_>| person.get("get-session").await.json()["session"]["token"].clone();
    assert_eq!(here.get("list-sessions").await.json().as_array().unwrap().len(), 2);
    // Another person's session is not ended, and the answer does not reveal that it exists.
    let revoke = json!({ "token": id_of(&bob).await });
    assert_eq!(here.post("revoke-session", &revoke).await.json(), json!({ "status": true }));
    assert_ne!(bob.get("get-session").await.json(), Value::Null);
    here.post("revoke-session", &json!({ "token": id_of(&there).await })).await;
    assert_eq!(there.get("get-session").await.json(), Value::Null);
    let there = there.with_cookie_of(&here.sign_in(PASSWORD).await);
    here.post("revoke-other-sessions", &json!({})).await;
    assert_eq!(there.get("get-session").await.json(), Value::Null);
    assert_ne!(here.get("get-session").await.json(), Value::Null);
    here.post("revoke-sessions", &json!({})).await;
    assert_eq!(here.get("get-session").await.json(), Value::Null);
}

#[tokio::test]
async fn a_session_slides_a_day_at_a_time_and_ends_after_thirty() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let day = Duration::from_hours(24);
    assert_eq!(ada.get("get-session").await.header("set-cookie"), "");
    system.clock.advance(day);
    assert!(ada.get("get-session").await.header("set-cookie").contains("Max-Age=604800"));
    assert_eq!(ada.get("get-session").await.header("set-cookie"), "", "once a day");
    for _ in 0..28 {
        system.clock.advance(day);
        assert_ne!(ada.get("get-session").await.json(), Value::Null);
    }
    system.clock.advance(day);
    assert_eq!(ada.get("get-session").await.json(), Value::Null);
    // An unused session expires after a week.
    let ada = ada.signed_in(PASSWORD).await;
    system.clock.advance(7 * day);
    assert_eq!(ada.get("get-session").await.json(), Value::Null);
}

#[tokio::test]
async fn an_account_has_fifty_sessions_of_which_the_oldest_goes() {
    let system = System::start().await;
    let first = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    for _ in 0..50 {
        system.clock.advance(Duration::from_secs(1));
        assert_eq!(first.sign_in(PASSWORD).await.status, 200);
    }
    assert_eq!(first.get("get-session").await.json(), Value::Null);
    let last = first.signed_in(PASSWORD).await;
    assert_eq!(last.get("list-sessions").await.json().as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_its_sessions_and_links() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    ada.post("request-password-reset", &json!({ "email": ada.email })).await;
    let token = ada.mailed_token().await;
    system.clock.advance(Duration::from_hours(24));
    assert_eq!(ada.post("delete-user", &json!({})).await.json()["code"], "SESSION_EXPIRED");
    assert_eq!(
        ada.post("delete-user", &json!({ "password": "wrong password" })).await.json()["code"],
        "INVALID_PASSWORD"
    );
    let deleted = ada.post("delete-user", &json!({ "password": PASSWORD })).await;
    assert_eq!(deleted.json(), json!({ "success": true, "message": "User deleted" }));
    assert_eq!(ada.get("get-session").await.json(), Value::Null);
    let reset = ada.post("reset-password", &json!({ "token": token, "newPassword": "a wholly new password" })).await;
    assert_eq!(reset.json()["code"], "INVALID_TOKEN");
    assert_eq!(ada.sign_in(PASSWORD).await.status, 401);
    assert_eq!(ada.sign_up(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let own = system.stack.base_url();
    let host = own.strip_prefix("http://").unwrap();
    let try_from = async |origin: Option<&str>| {
        let request = system.request(Method::POST, "/api/auth/update-user").json(&json!({ "name": "Eve" }));
        let request = request.header("cookie", ada.cookie());
        let answer = send(match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        })
        .await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    for missing in [None, Some("null"), Some("")] {
        assert_eq!(try_from(missing).await, (403, "MISSING_OR_NULL_ORIGIN".to_owned()), "{missing:?}");
    }
    for other in [
        &format!("{own}.evil.test"),
        &format!("https://{host}"),
        "http://127.0.0.1",
        "http://evil.test",
        &format!("{own}/"),
    ] {
        assert_eq!(try_from(Some(other)).await, (403, "INVALID_ORIGIN".to_owned()), "{other}");
    }
    assert_eq!(try_from(Some(&own)).await.0, 200);
    // Login CSRF: another site's form signs the browser in as somebody else, with a content type that needs no
    // preflight.
    let form = system.request(Method::POST, "/api/auth/sign-in/email").header("content-type", "text/plain");
    let body = json!({ "email": ada.email, "password": PASSWORD }).to_string();
    let form = send(form.header("origin", "http://evil.test").body(body.clone())).await;
    assert_eq!(form.json()["code"], "INVALID_ORIGIN");
    let form = system.request(Method::POST, "/api/auth/sign-in/email").header("content-type", "text/plain").body(body);
    assert_eq!(send(form).await.status, 415);
}

#[tokio::test]
async fn pages_of_trusted_origins_alone_may_call_with_credentials() {
    let settings = portcullis_tests::Settings::random().with("TRUSTED_ORIGINS", "https://web.example.com");
    let system = System::start_with(settings).await;
    let preflight = async |path: &str, origin: &str| {
        let request = system.request(Method::OPTIONS, path).header("origin", origin);
        send(request.header("access-control-request-method", "POST")).await
    };
    let trusted = preflight("/api/auth/sign-in/email", "https://web.example.com").await;
    assert_eq!(trusted.header("access-control-allow-origin"), "https://web.example.com");
    assert_eq!(trusted.header("access-control-allow-credentials"), "true");
    for other in ["https://web.example.com.evil.test", "null", "http://web.example.com"] {
        assert_eq!(
            preflight("/api/auth/sign-in/email", other).await.header("access-control-allow-origin"),
            "",
            "{other}"
        );
    }
    let internal = preflight("/api/internal/pools/register", "https://web.example.com").await;
    assert_eq!(internal.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_browser_is_sent_to_no_strangers_page() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com");
    for bad in ["//evil.test", "/\\evil.test", "javascript:alert(1)", "https://evil.test"] {
        let up = json!({ "name": "A", "email": ada.email, "password": PASSWORD, "callbackURL": bad });
        assert_eq!(ada.post("sign-up/email", &up).await.json()["code"], "INVALID_CALLBACK_URL", "{bad}");
        let reset = json!({ "email": ada.email, "redirectTo": bad });
        assert_eq!(ada.post("request-password-reset", &reset).await.json()["code"], "INVALID_REDIRECT_URL", "{bad}");
    }
    assert!(ada.mails().await.is_empty());
}

#[tokio::test]
async fn hostile_addresses_and_passwords_are_refused_by_name() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com");
    let sign_up = async |email: &str, password: &str| {
        let answer = ada.post("sign-up/email", &json!({ "name": "A", "email": email, "password": password })).await;
        (answer.status.as_u16(), answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let long = format!("{}@example.com", "a".repeat(243));
    for email in
        ["a@example.com\r\nBcc: eve@example.com", "\"a\"@example.com", &long, "a", "ä@example.com", "a@example.com\0"]
    {
        assert_eq!(sign_up(email, PASSWORD).await, (400, "INVALID_EMAIL".to_owned()), "{email:?}");
    }
    for (password, code) in [
        ("short", "PASSWORD_TOO_SHORT"),
        (&"x".repeat(129), "PASSWORD_TOO_LONG"),
        ("password1", "PASSWORD_TOO_COMMON"),
        ("PASSWORD1", "PASSWORD_TOO_COMMON"),
    ] {
        assert_eq!(sign_up("ada@example.com", password).await, (400, code.to_owned()), "{password:.10}");
    }
    assert_eq!(sign_up("ada@example.com", &"密".repeat(128)).await.0, 200);
}

#[tokio::test]
async fn a_planted_or_changed_cookie_opens_nothing_and_signing_in_gives_a_new_one() {
    let system = System::start().await;
    let ada = Person::new(&system, "ada@example.com").registered(PASSWORD).await;
    let other = System::start().await;
    let mallory = Person::new(&other, "ada@example.com").registered(PASSWORD).await;
    let own = ada.cookie();
    let cut = own[..own.len() - 1].to_owned();
    let twice = format!("better-auth.session_token=x.y; {own}");
    for cookie in [mallory.cookie(), cut, twice, "better-auth.session_token=".to_owned()] {
        let request = system.request(Method::GET, "/api/auth/list-sessions").header("cookie", &cookie);
        assert_eq!(send(request).await.status, 401, "{cookie:.40}");
    }
    // Session fixation: signing in replaces the session token.
    let request = system.request(Method::POST, "/api/auth/sign-in/email").header("cookie", &own);
    let request = request.header("origin", system.stack.base_url());
    let again = send(request.json(&json!({ "email": ada.email, "password": PASSWORD }))).await;
    assert_eq!(again.status, 200);
    assert!(!again.header("set-cookie").starts_with(&own));
}
