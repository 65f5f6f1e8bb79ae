//! The node agent against a real server, looked at with kubectl where there is one.

mod driver;
mod endpoint;
mod images;
mod lab;
mod plugins;
mod pods;
