//! One connection to the socket of a plugin.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::PathAndQuery};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::oneshot,
};
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Largest message of a plugin.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// What gRPC's library for Go says when the other side dies during a call.
pub(crate) const BROKEN: &str = "rpc error: code = Unavailable desc = error reading from server: EOF";

/// A connection. It is made once: when it ends, whoever holds it decides what follows.
#[derive(Clone)]
pub(super) struct Connection {
    channel: Channel,
}

/// Becomes ready when the connection has ended.
pub(super) type Ended = oneshot::Receiver<()>;

impl Connection {
    /// Connects to a socket.
    ///
    /// # Errors
    /// In the words of gRPC's library for Go.
    pub(super) async fn open(path: &Path) -> Result<(Self, Ended), String> {
        let (sender, ended) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let target = path.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let (sender, target) = (sender.clone(), target.clone());
            async move {
                let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
                let sender = sender.ok_or(io::ErrorKind::NotConnected)?;
                let stream = UnixStream::connect(target).await?;
                io::Result::Ok(TokioIo::new(Tracked { stream, _ended: sender }))
            }
        });
        // The address is for the header `:authority` alone.
        let endpoint = Endpoint::from_static("http://localhost").connect_timeout(CONNECT_MAX);
        let channel = endpoint.connect_with_connector(connector).await.map_err(|error| {
            let dial = format!("dial unix {}: connect: {}", path.display(), cause(&error));
            format!(
                "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: {dial}\""
            )
        })?;
        Ok((Self { channel }, ended))
    }

    /// Calls a method.
    ///
    /// # Errors
    /// In the words of gRPC's library for Go.
    pub(super) async fn call<Q, R>(&self, method: &'static str, request: Q, patience: Duration) -> Result<R, String>
    where
        Q: Message + Default + 'static,
        R: Message + Default + 'static,
    {
        let call = async {
            let mut client = self.ready().await?;
            let codec = ProstCodec::<Q, R>::default();
            client.unary(Request::new(request), PathAndQuery::from_static(method), codec).await
        };
        match tokio::time::timeout(patience, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(words(&status)),
            Err(_) => Err("rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned()),
        }
    }

    /// Calls a method that answers with a stream.
    pub(super) async fn stream<Q, R>(&self, method: &'static str, request: Q) -> Result<Streaming<R>, String>
    where
        Q: Message + Default + 'static,
        R: Message + Default + 'static,
    {
        let mut client = self.ready().await.map_err(|status| words(&status))?;
        let codec = ProstCodec::<Q, R>::default();
        let stream = client.server_streaming(Request::new(request), PathAndQuery::from_static(method), codec).await;
        Ok(stream.map_err(|status| words(&status))?.into_inner())
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut client = Grpc::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(client)
    }
}

/// Why there is no connection, in the words of Go.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::NotFound) => "no such file or directory".to_owned(),
        Some(io::ErrorKind::PermissionDenied) => "permission denied".to_owned(),
        _ => cause.to_string(),
    }
}

/// What gRPC's library for Go says of a status.
fn words(status: &Status) -> String {
    // A status that has a source comes from our side of the connection: it broke.
    if std::error::Error::source(status).is_some() {
        return BROKEN.to_owned();
    }
    let code = match status.code() {
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    };
    format!("rpc error: code = {code} desc = {}", status.message())
}

/// A stream that tells when it is given up.
struct Tracked {
    stream: UnixStream,
    /// Dropped with the stream, which the other side sees.
    _ended: oneshot::Sender<()>,
}

impl AsyncRead for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tracked {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
