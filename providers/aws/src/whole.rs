//! An answer that ends early is refused: the SDK would take the groups that are missing in it for groups that aren't there.

use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

/// Lets answers through whose root element is closed, and what is no answer of EC2's at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole;

#[dyn_dispatch_hint]
impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "rsgsync::Whole"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let body = response.body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
        if response.status().is_success() && body.is_some_and(ends_early) {
            return Err("it ends in the middle".into());
        }
        Ok(())
    }
}

fn ends_early(body: &str) -> bool {
    let root = body.split('<').skip(1).find(|tag| !tag.starts_with(['?', '!']));
    let name = root.and_then(|tag| tag.split(|c: char| c == '>' || c.is_whitespace()).next()).unwrap_or_default();
    name.ends_with("Response") && !body.trim_end().ends_with(&format!("</{name}>"))
}
