//! Stores: folders, single files, and the conformance checks.

#[cfg(unix)]
mod access;
mod any_layout;
mod compression;
mod conformance;
mod disk_cache;
mod disk_cache_shared;
mod disk_damage;
mod disk_folder;
mod open;
