//! `DebugDump`: prints messages as they pass.
