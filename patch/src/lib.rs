//! All ways to combine two documents: JSON patch, merge patch, strategic merge patch, server-side apply, diff.
