//! `storage.k8s.io/v1`.

use k8s_openapi::api::storage::v1 as api;

use super::column::{name_and_age, name_and_creation};
use super::row::{Row, kind};
use super::rules::Rules;
use super::schema_of;

const GROUP: &str = "storage.k8s.io";

/// The rows of the group.
pub(super) fn rows() -> Vec<Row> {
    let conditional = Rules { unconditional_update: false, ..Rules::PLAIN };
    vec![
        kind(GROUP, "CSIDriver", "csidrivers")
            .cluster()
            .version("v1", schema_of::<api::CSIDriver>, name_and_age())
            .delete_returns_object()
            .rules(Rules { generation: true, ..conditional }),
        kind(GROUP, "CSINode", "csinodes")
            .cluster()
            .version("v1", schema_of::<api::CSINode>, name_and_age())
            .delete_returns_object()
            .rules(conditional),
        kind(GROUP, "CSIStorageCapacity", "csistoragecapacities")
            .version("v1", schema_of::<api::CSIStorageCapacity>, name_and_creation())
            .rules(conditional),
        kind(GROUP, "StorageClass", "storageclasses")
            .cluster()
            .short(&["sc"])
            .version("v1", schema_of::<api::StorageClass>, name_and_age())
            .delete_returns_object(),
        kind(GROUP, "VolumeAttachment", "volumeattachments")
            .cluster()
            .version("v1", schema_of::<api::VolumeAttachment>, name_and_age())
            .status()
            .delete_returns_object()
            .rules(Rules { unconditional_update: false, ..Rules::WITH_STATUS }),
        kind(GROUP, "VolumeAttributesClass", "volumeattributesclasses")
            .cluster()
            .short(&["vac"])
            .version("v1", schema_of::<api::VolumeAttributesClass>, name_and_age())
            .delete_returns_object(),
    ]
}
