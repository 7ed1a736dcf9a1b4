set -e
cd /tmp/wt/core
S="native/plan.c native/walk.c native/spawn.c native/enter.c native/path.c native/user.c native/rtnetlink.c native/init.c native/op_*.c"
gcc -std=gnu11 -O2 -g -static -Wall -Wextra -Wshadow -Wconversion -Werror -Inative -o /tmp/wt/core/build-driver native/tests/driver.c $S
