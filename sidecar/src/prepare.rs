//! `portcullis-sidecar prepare`: installs the plugins of the platforms that the pool's configuration enables, so that
//! the child starts with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
};

use crate::{
    api::Api,
    launcher::Launcher,
    log,
    openclaw::{self, OpenClaw, RunError, Version},
    pace::{Pace, random},
    run::{self, Failure},
    settings::{ChildSettings, Settings},
    token::{self, Token},
    worker::{FileError, Work, Worker},
};

/// Platforms to prepare, each with the version of its plugin if it differs from `OpenClaw`'s.
type Platforms = BTreeMap<String, Option<String>>;

/// Installs missing plugins. `platforms` lists the platforms to prepare, as `slack` or `feishu@2026.9.5`; if it is
/// empty, the configuration on the disk decides, else the control plane's.
#[must_use]
pub fn main(platforms: &[String], command: &[OsString]) -> ExitCode {
    run::report(start(platforms, command), "the pool cannot be prepared")
}

fn start(platforms: &[String], command: &[OsString]) -> Result<(), Failure> {
    let environment = run::guarded_environment()?;
    let settings = ChildSettings::read(&environment, command.iter().cloned()).map_err(Failure::from_settings)?;
    let platforms = named(platforms)?;
    let file = environment.iter().find(|(name, _)| name == token::FILE_SETTING);
    let token = file.map(|_| Token::take(&environment)).transpose().map_err(|error| error.to_string())?;
    run::refuse_what_child_could_reach(&settings.user, token.as_ref())?;
    // Root's supplementary groups are dropped: the child's files do not need them.
    if settings.user.is_another() {
        nix::unistd::setgroups(&[])?;
    }
    // Orphans of the commands become children of this process, as for a child of the supervisor, so that they end with
    // it.
    nix::sys::prctl::set_child_subreaper(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let worker = run::worker(&settings, &Pace::default());
        run::check_folder_and_program(&worker, &settings).await?;
        let ChildSettings { user, state, config, command, environment: child } = settings;
        let on_disk = if platforms.is_empty() { worker.enabled(&config).await? } else { None };
        let known = on_disk.map(|enabled| enabled.platforms);
        let enabled = match known {
            Some(enabled) => Some(enabled),
            None if platforms.is_empty() => Some(platforms_of_control_plane(&environment).await?),
            None => None,
        };
        let platforms = match enabled {
            Some(enabled) => enabled.into_iter().map(|platform| (platform, None)).collect(),
            None => platforms,
        };
        let openclaw = OpenClaw { launcher: Launcher::own(), command, user, folder: state, environment: child };
        prepare(&openclaw, &worker, &platforms).await
    })
}

/// Parses the platforms of the command line.
fn named(platforms: &[String]) -> Result<Platforms, Failure> {
    let read = |text: &String| {
        let (platform, version) = match text.split_once('@') {
            Some((platform, version)) => (platform, Some(version)),
            None => (text.as_str(), None),
        };
        let is_right = openclaw::is_plugin_id(platform) && version.is_none_or(openclaw::is_plugin_version);
        is_right
            .then(|| (platform.to_owned(), version.map(ToOwned::to_owned)))
            .ok_or_else(|| format!("{text} is not a platform's name, as slack or feishu@2026.9.5 is").into())
    };
    platforms.iter().map(read).collect()
}

async fn platforms_of_control_plane(environment: &[(OsString, OsString)]) -> Result<BTreeSet<String>, Failure> {
    let (settings, token) =
        run::settings_and_token(environment, std::iter::empty(), Settings::read).inspect_err(|_| {
            log::warn(
                "there is no configuration on the disk: the control plane is asked, or name the platforms, as in \
             portcullis-sidecar prepare slack",
                &[],
            );
        })?;
    let Settings { api, pool, .. } = settings;
    let found = Api::new(api, pool, token)?.configuration(None).await?;
    let config = found.map(|found| found.value.config).ok_or("the control plane has no configuration of this pool")?;
    Ok(openclaw::enabled_platforms(&config))
}

async fn prepare(openclaw: &OpenClaw, worker: &Worker, platforms: &Platforms) -> Result<(), Failure> {
    let Some(Version::Known(version)) = openclaw.version().await else {
        let program = openclaw.command.first().map(|program| program.to_string_lossy().into_owned());
        let program = program.unwrap_or_default();
        return Err(format!(
            "{program} does not say which OpenClaw it is: --version is asked of openclaw, and of what stands before gateway \
             in a command"
        )
        .into());
    };
    log::info("found OpenClaw", &[("version", version.as_str().into())]);
    if platforms.is_empty() {
        log::info("no platform is enabled: nothing is to be installed", &[]);
        return Ok(());
    }
    let installed = openclaw.plugins().await.map_err(|error| format!("openclaw plugins list: {error}"))?;
    let mut failed = Vec::new();
    let wanted = |platform: &str| platforms.get(platform).and_then(Option::as_ref).unwrap_or(&version);
    for platform in platforms.keys() {
        let version = wanted(platform);
        let facts = [("plugin", platform.as_str().into()), ("version", version.as_str().into())];
        let found = installed.get(platform);
        if found.is_some_and(|found| found.as_ref() == Some(version)) {
            log::info("the plugin is installed", &facts);
            continue;
        }
        log::info("installing the plugin", &facts);
        match install(openclaw, worker, platform, version, found.is_some()).await {
            Ok(()) => log::info("installed the plugin", &facts),
            Err(error) => failed.push((platform, error.to_string())),
        }
    }
    // The list of `OpenClaw` decides, not the installer's exit code.
    let installed = openclaw.plugins().await.map_err(|error| format!("openclaw plugins list: {error}"))?;
    for platform in platforms.keys().filter(|platform| !installed.contains_key(*platform)) {
        if failed.iter().all(|(other, _)| *other != platform) {
            failed.push((platform, "OpenClaw does not list it afterwards".to_owned()));
        }
    }
    if failed.is_empty() {
        log::info("the pool is prepared", &[("plugins", platforms.len().into())]);
        return Ok(());
    }
    let lacks = failed.into_iter().map(|(platform, why)| {
        format!(
            "the plugin {platform} is not installed ({why}; OpenClaw's own words are above): as OpenClaw's user, openclaw \
             plugins install {}",
            openclaw::package(platform, wanted(platform))
        )
    });
    Err(Failure::Settings(lacks.collect()))
}

/// Why a plugin was not installed.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    File(#[from] FileError),
}

async fn install(
    openclaw: &OpenClaw,
    worker: &Worker,
    plugin: &str,
    version: &str,
    replace: bool,
) -> Result<(), InstallError> {
    let mut suffix = [0; 8];
    random(&mut suffix);
    let name = format!(".portcullis-prepare-{:016x}", u64::from_be_bytes(suffix));
    let config: PathBuf = openclaw.folder.join(&name).join("openclaw.json");
    worker.done(Work::MakeScratch(name.clone())).await?;
    let outcome = openclaw.install(plugin, version, replace, &config).await;
    // The scratch folder is not needed any more; a failure to remove it does no harm.
    let _ = worker.done(Work::RemoveScratch(name)).await;
    Ok(outcome?)
}
