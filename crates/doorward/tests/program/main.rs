//! The program as operators and clients meet it: the real binary, its files, its ports, its exit codes.

#![cfg(test)]

mod admin;
mod backup;
mod bad_starts;
mod check_config;
mod crash;
mod dev;
mod drain;
mod earlier_state;
mod init;
mod issuer_path;
mod life;
mod log_unread;
mod moving;
mod reload;
mod renewal;
mod retention;
mod revocation;
mod secrets;
mod serve;
mod support;
#[cfg(target_os = "linux")]
mod unwritten;
mod upgrade_without_key;
