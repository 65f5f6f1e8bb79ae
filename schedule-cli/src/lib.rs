//! The `schedule` command: allocates devices to pods and writes the result back.
