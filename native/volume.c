/* volume.c: see volume.h. Owns: the two system calls. Leaves to others: what is mounted and how long (storage/mounting.py). */
#include "internal.h"
#include "volume.h"

#include <sys/mount.h>

int mr_volume_mount(const char *source, const char *target, const char *type, uint64_t flags, const char *options)
{
	return mr_result(mount(source, target, type, (unsigned long)flags, options));
}

int mr_volume_unmount(const char *target)
{
	return mr_result(umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW));
}
