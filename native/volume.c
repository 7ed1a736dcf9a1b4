/* volume.c: see volume.h. Owns: the system calls. Leaves to others: what is mounted and how long (storage/mounting.py). */
#include "mount_api.h"
#include "volume.h"

#ifndef UMOUNT_NOFOLLOW
#define UMOUNT_NOFOLLOW 8
#endif

int mr_volume_mount(const char *source, const char *target, const char *type, uint64_t flags, const char *options)
{
	return mr_mount(source, target, type, (unsigned long)flags, options);
}

int mr_volume_bind(const char *source, const char *target, int recursive, uint64_t set, uint64_t clear, const uint64_t *propagations,
		   int count)
{
	MR_AUTOCLOSE tree = mr_open_tree(AT_FDCWD, source, recursive != 0);
	MR_AUTOCLOSE place = tree < 0 ? tree : mr_result(open(target, O_PATH | O_CLOEXEC));
	int error = place < 0 ? place : 0;

	if (error == 0 && (set || clear))
		error = mr_mount_setattr(tree, set, clear, 0, false);
	for (int i = 0; error == 0 && i < count; i++)
		error = mr_mount_setattr(tree, 0, 0, propagations[i] & ~(uint64_t)MS_REC, propagations[i] & MS_REC);
	return error < 0 ? error : mr_move_mount(tree, place);
}

int mr_volume_unmount(const char *target)
{
	return mr_result(syscall(SYS_umount2, target, MR_MNT_DETACH | UMOUNT_NOFOLLOW));
}
