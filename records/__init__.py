"""What service and worker share: settings, the database, objects, jobs. No torch, no HTTP."""
