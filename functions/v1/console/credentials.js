// E-mail address and password in the forms about an account.

/** Address that forms about an account begin with: whatever was typed into the one before. */
let lastEmail = "";

/** Password to that address, between signing up and entering the code, so that it need not be typed again at once. */
let heldPassword = "";

export function rememberEmail(email) {
    if (email !== lastEmail) heldPassword = "";
    lastEmail = email;
}

export const rememberedEmail = () => lastEmail;

export function holdPassword(email, password) {
    lastEmail = email;
    heldPassword = password;
}

/** The password that is held for an address, which is then forgotten. */
export function takePassword(email) {
    const password = email === lastEmail ? heldPassword : "";
    heldPassword = "";
    return password;
}

/** Field for an e-mail address. The server decides what one is; this catches a slip of the finger. */
export function emailField(more = {}) {
    return {
        name: "email",
        label: "E-mail address",
        type: "email",
        isRequired: true,
        value: lastEmail,
        check: (text) => (/^[^\s@]+@[^\s@]+$/.test(text) ? null : "Write an address like name@example.com."),
        attributes: { autocomplete: "username", inputmode: "email", autocapitalize: "none", spellcheck: "false" },
        ...more,
    };
}

/** Rule for a password that is chosen. The server has the last word: it also knows the most common ones. */
export const PASSWORD_RULE = "At least 8 characters. A few unrelated words are easy to remember and hard to guess.";

export function checkPassword(text) {
    if ([...text].length < 8) return "Choose a password of at least 8 characters.";
    if ([...text].length > 128) return "Choose a password of at most 128 characters.";
    return null;
}

export function checkName(text) {
    return [...text].length > 80 ? "Use 80 characters at most." : null;
}
