//! One connection: who is at the other end, and the requests that come from there.

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, extract::Request};
use http::{HeaderValue, header, uri::Authority};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::Watcher},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    local::{foreign, is_local, is_loopback},
    patient::Patient,
};
use crate::{
    authentication::{Peer, Transport},
    handlers,
    server::ApiServer,
    tls::Tls,
};

/// How long a client may take to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which the other end is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Requests that one connection may have open at once (`--http2-max-streams-per-connection` of kube-apiserver).
const STREAMS_MAX: u32 = 250;

/// Most bytes of all headers of a request.
const HEADER_BYTES_MAX: u32 = 1 << 20;

/// The first byte of TLS: a record of the handshake.
const HANDSHAKE: u8 = 22;

/// What Go's server says to a client that forgot the `s` of `https`.
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Serves a connection until it ends.
pub(super) async fn serve(stream: TcpStream, server: Arc<ApiServer>, watcher: Watcher) {
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keep_alive));
    let local = stream.local_addr();
    let address = stream.peer_addr().ok().map(|peer| peer.ip());
    let (Ok(()), Ok(local)) = (prepared, local) else { return };
    let Some(acceptor) = server.config.tls.as_ref().map(Tls::acceptor) else {
        let is_guarded = is_loopback(local.ip()) && !server.config.insecure;
        let client = Client { transport: Transport::Plain, address, is_guarded };
        return speak(stream, server, client, watcher).await;
    };
    match timeout(HANDSHAKE_TIMEOUT, encrypt(stream, &acceptor)).await {
        Ok(Ok(Some(stream))) => {
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let transport = server.authenticator.transport(chain);
            speak(stream, server, Client { transport, address, is_guarded: false }, watcher).await;
        }
        Ok(Ok(None)) => tracing::debug!("a client spoke plain HTTP where TLS is wanted"),
        Ok(Err(error)) => tracing::debug!(%error, "TLS was not agreed on"),
        Err(_) => tracing::debug!("TLS was not agreed on in time"),
    }
}

/// Agrees on TLS; `None` for a client that speaks something else, which is told so.
async fn encrypt(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

/// The other end of a connection.
struct Client {
    transport: Transport,
    address: Option<IpAddr>,
    /// Only requests that name this machine are taken.
    is_guarded: bool,
}

async fn speak<S>(stream: S, server: Arc<ApiServer>, client: Client, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let Client { transport, address, is_guarded } = client;
    let (head, patience) = (server.config.limits.head, server.config.limits.unread);
    let begun = Arc::new(AtomicBool::new(false));
    let stream = TokioIo::new(Patient::new(stream, head, begun.clone(), patience));
    let service = service_fn(move |request: Request<Incoming>| {
        begun.store(true, Ordering::Relaxed);
        let (server, transport) = (server.clone(), transport.clone());
        async move {
            let mut request = request.map(Body::new);
            name_host(&mut request);
            if is_guarded && !is_local(request.headers()) {
                return Ok::<_, Infallible>(foreign(&request));
            }
            request.extensions_mut().insert(Peer { connection, address, transport });
            Ok(handlers::serve(server, request).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    let connection = builder.serve_connection_with_upgrades(stream, service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

/// HTTP/2 names the host in the URL; what comes after looks for it in the header, where HTTP/1.1 has it.
fn name_host(request: &mut Request<Body>) {
    if request.headers().contains_key(header::HOST) {
        return;
    }
    let host = request.uri().authority().map(Authority::as_str).and_then(|host| HeaderValue::from_str(host).ok());
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
}
