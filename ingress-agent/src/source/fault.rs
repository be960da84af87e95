//! What is wrong with objects before their digest sees them.

use serde_json::Error;
use serde_path_to_error::Error as At;

use crate::digest::{Cause, Fault};

/// A field that is not of the API's type.
pub(super) fn wrong_type(error: &At<Error>) -> Fault {
    Fault::refused(Cause::Type, error.path().to_string())
        .found(error.inner().to_string())
        .expected("what the API's type says")
        .so("the object is not used")
        .change("correct the field")
}
