//! The layers around HTTP clients.

mod every_client;
mod layer_middleware;
mod reqwest_service;
