"""Cases, planning, isolation and running: the only room that knows both strategies and measuring."""
