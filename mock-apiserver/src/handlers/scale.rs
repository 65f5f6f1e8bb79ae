//! The `scale` subresource.

use axum::body::Body;
use machinery::{names::GroupVersionKind, status::Status};

use super::{Call, body, patch};
use crate::{
    registry::ScaleChange,
    request::{MediaType, parse_yaml, read_body},
    respond::Answer,
    server::ApiServer,
};

/// GET, PUT or PATCH of a Scale.
pub(super) async fn serve(server: &ApiServer, call: &Call, verb: &str, body: Body) -> Result<Answer, Status> {
    let target = call.target();
    let change = match verb {
        "get" => {
            return Ok(Answer::Document { code: 200, document: server.registry.scale(target)? });
        }
        "update" => {
            let kind = GroupVersionKind::new("autoscaling", "v1", "Scale");
            ScaleChange::Replace(body::read_document(server, call, &kind, body).await?)
        }
        _ => patch_of(call, body).await?,
    };
    let document = server.registry.change_scale(target, &change, &call.context).await?;
    Ok(Answer::Document { code: 200, document })
}

async fn patch_of(call: &Call, body: Body) -> Result<ScaleChange, Status> {
    let media_type = patch::accepted(call)?;
    let bytes = read_body(body, call.patience).await?;
    if media_type != MediaType::ApplyPatch {
        return Ok(ScaleChange::Patch(patch::decode(media_type, &bytes)?.0));
    }
    let parsed = parse_yaml(&bytes).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    Ok(ScaleChange::Apply(parsed.value, call.context.options.force.unwrap_or(false)))
}
