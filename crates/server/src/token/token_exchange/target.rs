//! Which resource of this server a request means.

use std::sync::Arc;

use doorward_oauth::claims::AccessTokenClaims;
use doorward_oauth::parameters::Parameters;
use doorward_oauth::resource::ResourceUri;
use doorward_store::Resource;

use super::no_such_target;
use crate::context::Context;
use crate::http::error::TokenError;

/// The one resource that the request means: by `resource` (RFC 8707), by `audience` (its URI or its slug), or the one
/// that the subject token is for.
pub(crate) async fn target(
    ctx: &Context,
    subject: &AccessTokenClaims,
    parameters: &Parameters,
) -> Result<Arc<Resource>, TokenError> {
    let resources = ctx.resources.all().await?;
    let mut named = named(&resources, parameters);
    if named.is_empty() {
        named = subject.aud.iter().map(|aud| by_uri(&resources, aud)).collect();
    }
    one(&named).ok_or_else(no_such_target)
}

/// The same for what is for none of our resources: the only one there is, when none is named.
pub(super) async fn target_of_foreign(
    ctx: &Context,
    parameters: &Parameters,
) -> Result<Arc<Resource>, TokenError> {
    let resources = ctx.resources.all().await?;
    let mut named = named(&resources, parameters);
    if named.is_empty() {
        named = resources.iter().map(Some).collect();
    }
    one(&named).ok_or_else(no_such_target)
}

fn named<'r>(resources: &'r [Arc<Resource>], parameters: &Parameters) -> Vec<Option<&'r Arc<Resource>>> {
    let by_name = |named: &str| {
        by_uri(resources, named).or_else(|| resources.iter().find(|resource| resource.slug == named))
    };
    let by_resource = parameters
        .get_all("resource")
        .map(|named| by_uri(resources, named));
    by_resource
        .chain(parameters.get_all("audience").map(by_name))
        .collect()
}

fn by_uri<'r>(resources: &'r [Arc<Resource>], named: &str) -> Option<&'r Arc<Resource>> {
    let is_meant =
        |resource: &&Arc<Resource>| ResourceUri::parse(&resource.uri).is_ok_and(|uri| uri.matches(named));
    resources.iter().find(is_meant)
}

/// The one that all of them are.
fn one(named: &[Option<&Arc<Resource>>]) -> Option<Arc<Resource>> {
    let [Some(first), others @ ..] = named else {
        return None;
    };
    let all_the_same = others
        .iter()
        .all(|other| other.is_some_and(|other| other.slug == first.slug));
    all_the_same.then(|| Arc::clone(first))
}
