//! Network cards whose virtual functions are devices.

use serde_json::json;

use super::pool::Pool;

/// The profile of inventories that stands for them.
pub(super) const SRIOV_VF: &str = "sriov-vf";
/// Most functions of a card.
const FUNCTIONS_PER_CARD: usize = 8;

/// `count` virtual functions, as the SR-IOV driver publishes them; without driver and name of the pool.
pub(crate) fn virtual_functions(count: usize) -> Pool {
    let function = |index: usize| {
        let (card, vf) = (index / FUNCTIONS_PER_CARD, index % FUNCTIONS_PER_CARD);
        let bus = 0x3b + card % 0xc0;
        let address = format!("0000:{bus:02x}:{:02x}.{}", 2 + vf / 8, vf % 8);
        let text = |text: &str| json!({"string": text});
        json!({
            "name": address.replace([':', '.'], "-"),
            "attributes": {
                "sriovnetwork.k8snetworkplumbingwg.io/vendor": text("8086"),
                "sriovnetwork.k8snetworkplumbingwg.io/deviceID": text("1889"),
                "sriovnetwork.k8snetworkplumbingwg.io/pfDeviceID": text("1592"),
                "sriovnetwork.k8snetworkplumbingwg.io/pciAddress": text(&address),
                "sriovnetwork.k8snetworkplumbingwg.io/pfPciAddress": text(&format!("0000:{bus:02x}:00.0")),
                "sriovnetwork.k8snetworkplumbingwg.io/PFName": text(&format!("ens{}f0", 1 + card)),
                "sriovnetwork.k8snetworkplumbingwg.io/EswitchMode": text("legacy"),
                "sriovnetwork.k8snetworkplumbingwg.io/linkType": text("ethernet"),
                "sriovnetwork.k8snetworkplumbingwg.io/vfID": {"int": vf},
                "sriovnetwork.k8snetworkplumbingwg.io/rdmaCapable": {"bool": false},
                "k8s.cni.cncf.io/deviceID": text(&address),
                "dra.net/numaNode": {"int": card % 2},
                "resource.kubernetes.io/pciBusID": text(&address),
                "resource.kubernetes.io/pcieRoot": text(&format!("pci0000:{:02x}", bus - 1)),
            },
        })
    };
    Pool { devices: (0..count).map(function).collect(), ..Pool::default() }
}
