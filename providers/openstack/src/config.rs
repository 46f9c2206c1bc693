//! `clouds.yaml` or the `OS_*` variables, and the inventory's words, become what the SDK connects with.

use std::path::{Path, PathBuf};

use openstack_sdk::config::{
    Auth, CloudConfig, ConfigFile, ConfigFileBuilder, ConfigFileBuilderError, find_clouds_file, find_secure_file,
    find_vendor_file,
};
use rsgsync_engine::CloudError;

use crate::error::final_error;
use crate::place::Place;

/// What to connect with, and where it is from, for people: `cloud `prod` of /home/me/clouds.yaml`.
#[derive(Debug)]
pub(crate) struct Source {
    pub config: CloudConfig,
    /// Which of Neutron's addresses counts: `public`, `internal` or `admin`.
    pub interface: String,
    pub from: String,
}

/// Finds the credentials of a place, and puts region and project of the inventory over theirs.
///
/// Files are looked for where OpenStack's own clients look: `OS_CLIENT_CONFIG_FILE` and `OS_CLIENT_SECURE_FILE`, else
/// `clouds.yaml` and `secure.yaml` in the current folder, `~/.config/openstack` and `/etc/openstack`.
pub(crate) fn source(place: &Place) -> Result<Source, CloudError> {
    let mut source = match place.cloud.clone().or_else(|| variable("OS_CLOUD")) {
        Some(cloud) => from_files(&cloud, place)?,
        None => from_variables(place)?,
    };
    let config = &mut source.config;
    // `auth_url` is known to the SDK as a public address: it would not find it under another word.
    if let Some(interface) = config.interface.replace("public".to_owned()) {
        interface.trim_end_matches("URL").clone_into(&mut source.interface);
    }
    // A token on disk would outlive the run, and the run needs no more than one.
    config.auth_cache = Some(false);
    if place.region.is_some() {
        config.region_name.clone_from(&place.region);
    }
    let has = |type_: &Option<String>, text: &str| type_.as_deref().is_some_and(|t| t.contains(text));
    let auth = config.auth.get_or_insert_default();
    if config.auth_type.is_none() {
        if auth.application_credential_secret.is_some() {
            config.auth_type = Some("v3applicationcredential".to_owned());
        } else if auth.token.is_some() && auth.password.is_none() {
            config.auth_type = Some("v3token".to_owned());
        }
    }
    if has(&config.auth_type, "applicationcredential") || has(&config.auth_type, "application_credential") {
        // Its project is its own: Keystone refuses to be told another, or even the same.
        let none = |field: &mut Option<String>| *field = None;
        [&mut auth.project_id, &mut auth.project_name].into_iter().for_each(none);
    } else if let Some(project) = &place.project {
        let (id, name) = if is_id(project) { (Some(project), None) } else { (None, Some(project)) };
        (auth.project_id, auth.project_name) = (id.cloned(), name.cloned());
        if auth.project_domain_id.is_none() && auth.project_domain_name.is_none() {
            auth.project_domain_id.clone_from(&auth.user_domain_id);
            auth.project_domain_name.clone_from(&auth.user_domain_name);
        }
    }
    if auth.auth_url.is_none() {
        return Err(final_error(
            doing(place),
            format!("{} has no `auth_url`", source.from),
            "write the address of Keystone there, such as https://keystone.example.org:5000/v3".to_owned(),
        ));
    }
    Ok(source)
}

fn doing(place: &Place) -> String {
    format!("looking for OpenStack credentials for network `{}`", place.network)
}

/// Keystone's ids: 32 hexadecimal digits, or a UUID.
fn is_id(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// A variable that is set, and not to nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn from_variables(place: &Place) -> Result<Source, CloudError> {
    let help = "write `cloud:`, the name of a cloud of clouds.yaml, beside the network's `openstack:` keys, or set OS_CLOUD \
                or OS_AUTH_URL and what goes with it";
    if variable("OS_AUTH_URL").is_none() {
        let message = "the inventory names no cloud, and neither OS_CLOUD nor OS_AUTH_URL is set".to_owned();
        return Err(final_error(doing(place), message, help.to_owned()));
    }
    let config = CloudConfig::from_env();
    let mut config = config.map_err(|error| final_error(doing(place), error.to_string(), help.to_owned()))?;
    // The files that OpenStack hands out export the empty text for what is not set.
    let CloudConfig { region_name, interface, cacert, auth_type, .. } = &mut config;
    [region_name, interface, cacert, auth_type].into_iter().for_each(drop_empty);
    config.auth.iter_mut().for_each(drop_empty_auth);
    Ok(Source { config, interface: "public".to_owned(), from: "the environment (OS_AUTH_URL …)".to_owned() })
}

fn drop_empty(field: &mut Option<String>) {
    field.take_if(|value| value.is_empty());
}

fn drop_empty_auth(auth: &mut Auth) {
    let names = [
        &mut auth.username,
        &mut auth.user_id,
        &mut auth.user_domain_name,
        &mut auth.user_domain_id,
        &mut auth.domain_id,
        &mut auth.domain_name,
        &mut auth.project_id,
        &mut auth.project_name,
        &mut auth.project_domain_id,
        &mut auth.project_domain_name,
        &mut auth.application_credential_id,
        &mut auth.application_credential_name,
        &mut auth.system_scope,
    ];
    names.into_iter().for_each(drop_empty);
    for (secret, name) in [
        (&mut auth.token, "OS_TOKEN"),
        (&mut auth.password, "OS_PASSWORD"),
        (&mut auth.application_credential_secret, "OS_APPLICATION_CREDENTIAL_SECRET"),
    ] {
        if variable(name).is_none() {
            *secret = None;
        }
    }
}

fn from_files(cloud: &str, place: &Place) -> Result<Source, CloudError> {
    let clouds = named_or("OS_CLIENT_CONFIG_FILE", find_clouds_file, place)?;
    let Some(clouds) = clouds else {
        return Err(final_error(
            doing(place),
            format!("the cloud `{cloud}` can't be looked up: there is no clouds.yaml"),
            "put it into the current folder, ~/.config/openstack or /etc/openstack, or name it in OS_CLIENT_CONFIG_FILE"
                .to_owned(),
        ));
    };
    let secure = named_or("OS_CLIENT_SECURE_FILE", find_secure_file, place)?;
    let mut builder = ConfigFile::builder();
    for path in find_vendor_file().iter().chain([&clouds]).chain(&secure) {
        builder = add(builder, path, place)?;
    }
    let unusable = |error: String| final_error(doing(place), error, "correct that file".to_owned());
    let file = builder.build().map_err(|error| unusable(error.to_string()))?;
    let found = file.get_cloud_config(cloud).map_err(|error| unusable(error.to_string()))?;
    let shown = clouds.display();
    let Some(config) = found else {
        let mut known = file.get_available_clouds();
        known.sort();
        let known = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
        return Err(final_error(
            doing(place),
            format!("{shown} has no cloud `{cloud}`"),
            format!("it has {known}; correct `cloud:` of the network, or OS_CLOUD"),
        ));
    };
    Ok(Source { config, interface: "public".to_owned(), from: format!("cloud `{cloud}` of {shown}") })
}

fn named_or(name: &str, find: impl FnOnce() -> Option<PathBuf>, place: &Place) -> Result<Option<PathBuf>, CloudError> {
    match variable(name).map(PathBuf::from) {
        Some(path) if !path.exists() => Err(final_error(
            doing(place),
            format!("{name} names {}, and there is no such file", path.display()),
            format!("correct {name}, or unset it"),
        )),
        Some(path) => Ok(Some(path)),
        None => Ok(find()),
    }
}

fn add(builder: ConfigFileBuilder, path: &Path, place: &Place) -> Result<ConfigFileBuilder, CloudError> {
    builder.add_source(path).map_err(|error| {
        let why = match error {
            ConfigFileBuilderError::FileParse { source, .. }
            | ConfigFileBuilderError::ConfigDeserialize { source, .. }
            | ConfigFileBuilderError::ConfigBuild { source } => source.to_string(),
            other => other.to_string(),
        };
        final_error(doing(place), format!("{} can't be read: {why}", path.display()), "correct that file".to_owned())
    })
}
