#!/bin/sh
answer=$(redis-cli -h localhost -a "$REDIS_PASSWORD" --no-auth-warning ping)
case "$answer" in
  PONG | LOADING*) exit 0 ;;
  *) echo "redis says: $answer"; exit 1 ;;
esac
