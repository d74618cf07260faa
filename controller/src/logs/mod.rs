//! Central log store.
