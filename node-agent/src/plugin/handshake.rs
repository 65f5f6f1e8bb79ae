//! How a plugin registers: the kubelet asks what it is, takes it or not, and says so.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use machinery::field::quote;

use super::{
    Plugins,
    connection::Connection,
    remote::{self, Remote},
    wire::{
        DRA_PLUGIN, GET_INFO, InfoRequest, NOTIFY_REGISTRATION_STATUS, PluginInfo, RegistrationStatus,
        RegistrationStatusResponse, Service, health_method,
    },
};

/// How long a plugin may take to say what it is.
const INFO_MAX: Duration = Duration::from_secs(1);
/// Pauses between attempts: the first, and the longest. A socket is there a moment before anybody listens on it.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(120);

/// Gets the plugin behind a socket registered, trying until it is, and stays with it.
pub(super) async fn register(plugins: &Plugins, socket: &Path) {
    let mut pause = PAUSE_MIN;
    let remote = loop {
        match attempt(plugins, socket).await {
            Ok(remote) => break remote,
            Err(error) => tracing::info!(socket = %socket.display(), error, "a plugin is not registered"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    };
    remote::keep(plugins, &remote).await;
}

async fn attempt(plugins: &Plugins, socket: &Path) -> Result<Arc<Remote>, String> {
    let (connection, _ended) = Connection::open(socket).await?;
    let info: PluginInfo = connection.call(GET_INFO, InfoRequest {}, INFO_MAX).await?;
    let outcome = take(plugins, socket, &info);
    let status = match &outcome {
        Ok(_) => RegistrationStatus { plugin_registered: true, error: String::new() },
        Err(error) => {
            RegistrationStatus { plugin_registered: false, error: format!("RegisterPlugin error -- {error}") }
        }
    };
    let told = connection.call::<_, RegistrationStatusResponse>(NOTIFY_REGISTRATION_STATUS, status, INFO_MAX).await;
    if let Err(error) = told {
        plugins.remove(&socket.to_string_lossy());
        return Err(format!("RegisterPlugin error -- failed to send registration status at socket, err: {error}"));
    }
    outcome
}

/// Takes a plugin, if it is one that can be called.
fn take(plugins: &Plugins, socket: &Path, info: &PluginInfo) -> Result<Arc<Remote>, String> {
    if info.r#type != DRA_PLUGIN {
        return Err(format!("no handler registered for plugin type: {} at socket {}", info.r#type, socket.display()));
    }
    let endpoint = if info.endpoint.is_empty() { socket.to_owned() } else { PathBuf::from(&info.endpoint) };
    if let Some(error) = machinery::names::dns1123_subdomain_errors(&info.name).first() {
        return Err(format!("plugin validation failed with err: invalid driver name {:?}: {error}", info.name));
    }
    let service = service(&info.supported_versions).map_err(|error| {
        format!(
            "plugin validation failed with err: invalid supported gRPC versions of DRA driver plugin {} at endpoint \
             {}: {error}",
            info.name,
            endpoint.display()
        )
    })?;
    let remote = Arc::new(Remote::new(info.name.clone(), endpoint, service, health_method(&info.supported_versions)));
    plugins
        .add(&socket.to_string_lossy(), remote.clone())
        .map_err(|error| format!("plugin registration failed with err: {error}"))?;
    Ok(remote)
}

/// The first service of a plugin's list that is known.
fn service(supported: &[String]) -> Result<Service, String> {
    if supported.is_empty() {
        return Err("empty list of supported gRPC services (aka supported versions)".to_owned());
    }
    supported.iter().find_map(|name| Service::named(name)).ok_or_else(|| {
        let names = supported.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" ");
        format!(
            "none of services supported by the plugin ([{names}]) are supported by the kubelet ([\"v1.DRAPlugin\" \
             \"v1beta1.DRAPlugin\"])"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_service_of_the_plugin_is_used() {
        let of = |names: &[&str]| service(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["v1beta1.DRAPlugin", "v1.DRAPlugin"]), Ok(Service::V1beta1));
        assert_eq!(of(&["v9.DRAPlugin", "v1.DRAPlugin", "v1beta1.DRAPlugin"]), Ok(Service::V1));
        assert_eq!(of(&[]), Err("empty list of supported gRPC services (aka supported versions)".to_owned()));
        assert_eq!(
            of(&["1.0.0", "v2.DRAPlugin"]),
            Err(
                "none of services supported by the plugin ([\"1.0.0\" \"v2.DRAPlugin\"]) are supported by the kubelet \
                 ([\"v1.DRAPlugin\" \"v1beta1.DRAPlugin\"])"
                    .to_owned()
            )
        );
    }
}
