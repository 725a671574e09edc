//! What people do at their pages, through HTTP alone.
