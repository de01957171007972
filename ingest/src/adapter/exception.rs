//! Exceptions of browsers whose telling says nothing of who caught them.
//!
//! Where nobody says so a rule stands in: errors that the JavaScript engine raises itself are taken for uncaught, all
//! others (`Error` and the app's own classes) for reported by the app. It is wrong for an app that catches a `TypeError`
//! and reports it without saying so, and for an `Error` that the app throws and nobody catches.

/// Names that the JavaScript engine gives the errors that it raises itself, and Faro those promises that nobody
/// caught.
const ENGINE_ERRORS: [&str; 8] = [
    "TypeError",
    "ReferenceError",
    "RangeError",
    "SyntaxError",
    "URIError",
    "EvalError",
    "InternalError",
    "UnhandledRejection",
];

/// Whether an exception of this type is taken for one that nobody caught.
pub(super) fn is_raised_by_engine(kind: &str) -> bool {
    ENGINE_ERRORS.contains(&kind)
}
