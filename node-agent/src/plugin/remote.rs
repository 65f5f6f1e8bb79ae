//! A real driver, called over its socket.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Event, Plugins,
    connection::Connection,
    health::Speaker,
    wire::{Claim, ClaimsRequest, HealthRequest, HealthResponse, PrepareResponse, Service, UnprepareResponse},
};
use crate::devices::ledger::PreparedDevice;

/// How long a driver may take to answer.
const CALL_MAX: Duration = Duration::from_secs(45);
/// Pauses before a connection that ended is made again: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Pause before a stream of health that ended is asked for again.
const HEALTH_PAUSE: Duration = Duration::from_secs(5);

/// What came of each claim, by UID.
pub(crate) type Answers<T> = BTreeMap<String, Result<T, String>>;

/// A real driver.
pub(crate) struct Remote {
    pub(crate) name: String,
    pub(crate) endpoint: PathBuf,
    service: Service,
    /// The method that streams health, if it has one.
    health: Option<&'static str>,
    connection: Mutex<Option<Connection>>,
}

impl Remote {
    /// A driver that is not connected yet.
    pub(super) fn new(name: String, endpoint: PathBuf, service: Service, health: Option<&'static str>) -> Self {
        Self { name, endpoint, service, health, connection: Mutex::default() }
    }

    /// Who speaks when it says how its devices are.
    pub(super) fn speaker(&self) -> Speaker<'_> {
        Speaker { driver: &self.name, endpoint: &self.endpoint }
    }

    /// Whether the connection stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn set_connection(&self, connection: Option<Connection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
    }

    /// The connection that stands, or a new one for this call.
    async fn connection(&self) -> Result<Connection, String> {
        let present = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match present {
            Some(connection) => Ok(connection),
            None => Connection::open(&self.endpoint).await.map(|(connection, _)| connection),
        }
    }

    /// Has claims prepared.
    pub(crate) async fn prepare(&self, claims: Vec<Claim>) -> Result<Answers<Vec<PreparedDevice>>, String> {
        let connection = self.connection().await?;
        let request = ClaimsRequest { claims };
        let response: PrepareResponse = connection.call(self.service.prepare(), request, CALL_MAX).await?;
        let devices = |claim: super::wire::PreparedClaim| match claim.error.is_empty() {
            false => Err(claim.error),
            true => Ok(claim.devices.into_iter().map(|device| self.device(device)).collect()),
        };
        Ok(response.claims.into_iter().map(|(uid, claim)| (uid, devices(claim))).collect())
    }

    fn device(&self, device: super::wire::Device) -> PreparedDevice {
        PreparedDevice {
            pool_name: device.pool_name,
            device_name: device.device_name,
            // v1beta1 has no shares: whatever stands there is not ours to read.
            share_id: device.share_id.filter(|_| self.service == Service::V1),
            request_names: device.request_names,
            cdi_device_ids: device.cdi_device_ids,
        }
    }

    /// Has that taken back.
    pub(crate) async fn unprepare(&self, claims: Vec<Claim>) -> Result<Answers<()>, String> {
        let connection = self.connection().await?;
        let request = ClaimsRequest { claims };
        let response: UnprepareResponse = connection.call(self.service.unprepare(), request, CALL_MAX).await?;
        let outcome = |error: String| if error.is_empty() { Ok(()) } else { Err(error) };
        Ok(response.claims.into_iter().map(|(uid, claim)| (uid, outcome(claim.error))).collect())
    }
}

/// Keeps a driver connected, and follows the health of its devices.
pub(super) async fn keep(plugins: &Plugins, remote: &Remote) {
    tokio::join!(keep_connected(plugins, remote), follow_health(plugins, remote));
}

async fn keep_connected(plugins: &Plugins, remote: &Remote) {
    let (node, driver) = (plugins.node.clone(), remote.name.clone());
    let mut pause = PAUSE_MIN;
    loop {
        match Connection::open(&remote.endpoint).await {
            Ok((connection, ended)) => {
                let since = Instant::now();
                remote.set_connection(Some(connection));
                plugins.tell(Event::Connected { node: node.clone(), driver: driver.clone() });
                // An error says the same: the other end of the signal is dropped.
                drop(ended.await);
                remote.set_connection(None);
                if since.elapsed() > PAUSE_MAX {
                    pause = PAUSE_MIN;
                }
            }
            Err(error) => tracing::debug!(driver, error, "a driver is not connected"),
        }
        if !plugins.is_connected(&driver) {
            plugins.tell(Event::Lost { node: node.clone(), driver: driver.clone() });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn follow_health(plugins: &Plugins, remote: &Remote) {
    let Some(method) = remote.health else { return };
    loop {
        if let Err(error) = watch_health(plugins, remote, method).await {
            tracing::debug!(driver = remote.name, error, "the health of devices is not known");
        }
        if plugins.health.silence(remote.speaker()) {
            plugins.tell(Event::Health { node: plugins.node.clone() });
        }
        tokio::time::sleep(HEALTH_PAUSE).await;
    }
}

async fn watch_health(plugins: &Plugins, remote: &Remote, method: &'static str) -> Result<(), String> {
    let (connection, _ended) = Connection::open(&remote.endpoint).await?;
    let mut stream = connection.stream::<_, HealthResponse>(method, HealthRequest {}).await?;
    loop {
        let wake = plugins.health.next_expiry(remote.speaker());
        let expires = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let changed = tokio::select! {
            message = stream.message() => match message {
                Ok(Some(response)) => plugins.health.update(remote.speaker(), response, Instant::now()),
                Ok(None) => return Ok(()),
                Err(status) => return Err(status.message().to_owned()),
            },
            () = expires => plugins.health.expire(remote.speaker(), Instant::now()),
        };
        if changed {
            plugins.tell(Event::Health { node: plugins.node.clone() });
        }
    }
}
