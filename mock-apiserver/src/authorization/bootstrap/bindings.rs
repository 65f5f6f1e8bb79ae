//! Who has the roles for people and for the parts of a cluster.

use super::Binding;

const fn cluster(name: &'static str, users: &'static str, groups: &'static str) -> Binding {
    Binding { name, namespace: "", role: name, users, groups, accounts: "" }
}

const fn local(
    namespace: &'static str,
    name: &'static str,
    role: &'static str,
    users: &'static str,
    accounts: &'static str,
) -> Binding {
    Binding { name, namespace, role, users, groups: "", accounts }
}

/// Every binding.
pub(super) const BINDINGS: &[Binding] = &[
    cluster("cluster-admin", "", "system:masters"),
    cluster("system:monitoring", "", "system:monitoring"),
    cluster("system:discovery", "", "system:authenticated"),
    cluster("system:basic-user", "", "system:authenticated"),
    cluster("system:public-info-viewer", "", "system:authenticated system:unauthenticated"),
    cluster("system:node-proxier", "system:kube-proxy", ""),
    cluster("system:kube-controller-manager", "system:kube-controller-manager", ""),
    Binding {
        name: "system:kube-dns",
        namespace: "",
        role: "system:kube-dns",
        users: "",
        groups: "",
        accounts: "kube-system/kube-dns",
    },
    cluster("system:kube-scheduler", "system:kube-scheduler", ""),
    cluster("system:volume-scheduler", "system:kube-scheduler", ""),
    cluster("system:service-account-issuer-discovery", "", "system:serviceaccounts"),
    cluster("system:cluster-trust-bundle-discovery", "", "system:serviceaccounts"),
    // The node authorizer knows what kubelets may do; the role is bound to nobody.
    cluster("system:node", "", ""),
    local(
        "kube-system",
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        "system:kube-controller-manager system:kube-scheduler",
        "",
    ),
    local(
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        "system::leader-locking-kube-controller-manager",
        "system:kube-controller-manager",
        "kube-system/kube-controller-manager kube-system/leader-election-controller",
    ),
    local(
        "kube-system",
        "system::leader-locking-kube-scheduler",
        "system::leader-locking-kube-scheduler",
        "system:kube-scheduler",
        "kube-system/kube-scheduler",
    ),
    local(
        "kube-system",
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        "",
        "kube-system/bootstrap-signer",
    ),
    local(
        "kube-system",
        "system:controller:cloud-provider",
        "system:controller:cloud-provider",
        "",
        "kube-system/cloud-provider",
    ),
    local(
        "kube-system",
        "system:controller:token-cleaner",
        "system:controller:token-cleaner",
        "",
        "kube-system/token-cleaner",
    ),
    local(
        "kube-public",
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        "",
        "kube-system/bootstrap-signer",
    ),
];
