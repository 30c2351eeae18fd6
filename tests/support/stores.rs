//! Code shared by the tests of stores.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, executor::block_on};
use http::{Request, Response};
use tower_traffic::{
    Exchange, StoreError,
    store::{Disk, FolderReport, Replay, Sink, Source, Which},
};

/// `GET /{name}`, answered with the name.
pub fn exchange(name: &str) -> Exchange {
    exchange_of(name, name.to_owned())
}

/// `GET /{name}`, answered with this body.
pub fn exchange_of(name: &str, body: impl Into<Bytes>) -> Exchange {
    Exchange::new(
        Request::get(format!("/{name}")).body(Bytes::new()).unwrap(),
        Response::new(body.into()),
    )
}

pub fn try_record(
    sink: &(impl Sink + ?Sized),
    exchanges: impl Into<Vec<Exchange>>,
) -> Result<(), StoreError> {
    block_on(sink.store(exchanges.into().into_iter().map(Arc::new).collect()))
}

pub fn record(sink: &(impl Sink + ?Sized), exchanges: impl Into<Vec<Exchange>>) {
    try_record(sink, exchanges).unwrap();
}

/// The exchanges and the errors of a replay.
pub fn replay(replay: &impl Replay) -> (Vec<Exchange>, Vec<StoreError>) {
    let items: Vec<_> = block_on(replay.replay().collect());
    let mut read = Vec::new();
    let mut errors = Vec::new();
    for item in items {
        match item {
            Ok(exchange) => read.push(exchange),
            Err(error) => errors.push(error),
        }
    }
    (read, errors)
}

/// The exchanges of a folder without damage.
pub fn replay_all(folder: impl Into<PathBuf>) -> Vec<Exchange> {
    let (read, errors) = replay(&Disk::new(folder));
    assert!(errors.is_empty(), "{errors:?}");
    read
}

/// The report of a folder.
pub fn report(folder: impl Into<PathBuf>) -> FolderReport {
    block_on(Disk::new(folder).report()).unwrap()
}

/// The recorded exchange that matches the request of an exchange.
pub fn find(source: &impl Source, exchange: &Exchange) -> Result<Option<Exchange>, StoreError> {
    let key = source.matching().key(&exchange.request);
    let found = block_on(source.find(key, Which::Latest))?;
    Ok(found.map(|exchange| Exchange::clone(&exchange)))
}

/// The files in a folder, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}
