//! A proxy between a client and S3 that injects faults of networks and servers.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::sleep,
};

/// A fault in a request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// No fault.
    None,
    /// The request never arrives, and the client waits.
    SwallowRequest,
    /// The request succeeds, and the client never gets the response.
    SwallowAnswer,
    /// The request succeeds, and the connection breaks before the response.
    CutAnswer,
    /// The request succeeds, and the connection breaks after this many bytes of the response body.
    CutAnswerAfter(usize),
    /// The connection breaks in the middle of the request body.
    CutRequest,
    /// The server answers with this status and this code.
    Answer(u16, &'static str),
}

/// Time for written bytes to be sent.
const FLUSHED: Duration = Duration::from_millis(50);

type Plan = Box<dyn FnMut(&Parts) -> Fault + Send>;

/// A proxy on its own thread; stopped when dropped.
pub struct Faults {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

struct Shared {
    plan: Mutex<Plan>,
    /// Method and target of each request.
    seen: Mutex<Vec<String>>,
}

impl Faults {
    /// A proxy in front of a server; `plan` chooses the fault of each request.
    pub fn before(origin: &str, plan: impl FnMut(&Parts) -> Fault + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            plan: Mutex::new(Box::new(plan)),
            seen: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let (sender, addr) = mpsc::channel();
        let (state, origin) = (shared.clone(), origin.to_owned());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, state, origin) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            addr: addr.recv().unwrap(),
            shared,
            _stop: stop,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Replaces the plan.
    pub fn plan(&self, plan: impl FnMut(&Parts) -> Fault + Send + 'static) {
        *self.shared.plan.lock().unwrap() = Box::new(plan);
    }

    /// The requests so far, as `PUT /bucket/key`.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str) -> usize {
        let seen = self.seen();
        let seen = seen.iter();
        seen.filter(|line| line.split(' ').next() == Some(method))
            .count()
    }
}

/// The faults of a list, one for each request; afterwards no fault.
pub fn first(faults: impl Into<Vec<Fault>>) -> impl FnMut(&Parts) -> Fault + Send {
    let mut faults = faults.into().into_iter();
    move |_| faults.next().unwrap_or(Fault::None)
}

/// Like [`first`], for requests of this method only.
pub fn first_of(
    method: &'static str,
    faults: impl Into<Vec<Fault>>,
) -> impl FnMut(&Parts) -> Fault + Send {
    let mut faults = first(faults);
    move |parts| {
        if parts.method == method {
            faults(parts)
        } else {
            Fault::None
        }
    }
}

pub fn always(fault: Fault) -> impl FnMut(&Parts) -> Fault + Send {
    move |_| fault
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, origin: String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    loop {
        let (stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        let (shared, origin, client) = (shared.clone(), origin.clone(), client.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, &shared, &origin, &client));
            // An error breaks the connection.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    origin: &str,
    client: &Client<HttpConnector, Full<Bytes>>,
) -> Result<Response<BoxBody<Bytes, &'static str>>, &'static str> {
    let (mut parts, mut body) = request.into_parts();
    let seen = format!("{} {}", parts.method, parts.uri);
    shared.seen.lock().unwrap().push(seen);
    let fault = (shared.plan.lock().unwrap())(&parts);
    match fault {
        Fault::SwallowRequest => return pending().await,
        Fault::CutRequest => {
            let _ = body.frame().await;
            return Err("cut");
        }
        Fault::Answer(status, code) => {
            let _ = body.collect().await;
            let text = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                 <Error><Code>{code}</Code><Message>injected</Message></Error>"
            );
            let mut response = Response::new(whole(text));
            *response.status_mut() = status.try_into().unwrap();
            return Ok(response);
        }
        Fault::None | Fault::SwallowAnswer | Fault::CutAnswer | Fault::CutAnswerAfter(_) => {}
    }
    let content = body.collect().await.map_err(|_| "no whole request")?;
    // The signature covers the host that the client uses.
    parts.uri = format!("{origin}{}", parts.uri).parse().unwrap();
    let request = Request::from_parts(parts, Full::from(content.to_bytes()));
    let response = client.request(request).await.map_err(|_| "no origin")?;
    let (head, body) = response.into_parts();
    let content = body.collect().await.map_err(|_| "no whole answer")?;
    let content = content.to_bytes();
    match fault {
        Fault::SwallowAnswer => pending().await,
        Fault::CutAnswer => Err("cut"),
        // The declared length stays that of the whole body.
        Fault::CutAnswerAfter(count) if count < content.len() => {
            let start = Frame::data(content.slice(..count));
            // Bytes before the fault must arrive: a server discards unsent bytes.
            let cut = stream::iter([Ok(start)]).chain(stream::once(async {
                sleep(FLUSHED).await;
                Err("cut")
            }));
            Ok(Response::from_parts(
                head,
                BodyExt::boxed(StreamBody::new(cut)),
            ))
        }
        _ => Ok(Response::from_parts(head, whole(content))),
    }
}

fn whole(content: impl Into<Bytes>) -> BoxBody<Bytes, &'static str> {
    Full::new(content.into())
        .map_err(|never| match never {})
        .boxed()
}
