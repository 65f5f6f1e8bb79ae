//! The sandbox as its users meet it.

mod charts;
mod examples;
mod network;
mod pages;
mod streams;
mod workloads;
