//! The sandbox as its users meet it.

mod examples;
mod network;
mod pages;
mod workloads;
