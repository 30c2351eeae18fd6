//! Stacks of these layers with each other and with those of tower-http.

mod chaos;
mod clients;
mod head_timeout;
mod nanoservices;
mod servers;
