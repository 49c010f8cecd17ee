//! Two replicas behind one origin, over one Redis.
