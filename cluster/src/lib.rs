//! A Kubernetes cluster as a client sees it: connect, snapshot into the hub, watch, write back.
