//! Permission to create, asked where a change turns out to create its object.

use machinery::status::Status;

use super::{Context, Registry, Target};
use crate::authorization::{Action, On};

impl Registry {
    /// Refuses to create the object of a PUT or of an apply for somebody who may only change what is there: upstream's
    /// `withAuthorization`.
    pub(crate) async fn check_may_create(&self, target: Target<'_>, context: &Context) -> Result<(), Status> {
        if self.authorizer.allows_everything() {
            return Ok(());
        }
        let resource = target.endpoint.group_resource();
        let on = On::Resource {
            group: &resource.group,
            resource: &resource.resource,
            subresource: "",
            namespace: target.namespace,
            name: target.name,
        };
        let action = Action::to("create", on);
        let decision = self.authorizer.decide_now(self, &context.user, &action).await;
        match decision.is_allowed() {
            true => Ok(()),
            false if !decision.error.is_empty() => Err(Status::internal(decision.error)),
            false => Err(action.forbidden(&context.user, &decision)),
        }
    }
}
