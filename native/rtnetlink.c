/* rtnetlink.c: placeholder until the network calls land. */
#include "internal.h"

int mr_netlink_open(int protocol)
{
	(void)protocol;
	return -ENOSYS;
}

int mr_op_veth(int netlink, const char *bridge, const char *host_name, const char *peer_name, const void *mac,
	       size_t mac_length, pid_t peer)
{
	(void)netlink, (void)bridge, (void)host_name, (void)peer_name, (void)mac, (void)mac_length, (void)peer;
	return -ENOSYS;
}

int mr_op_link_up(int netlink, const char *name)
{
	(void)netlink, (void)name;
	return -ENOSYS;
}

int mr_op_address(int netlink, const char *name, const void *address, size_t length, unsigned prefix)
{
	(void)netlink, (void)name, (void)address, (void)length, (void)prefix;
	return -ENOSYS;
}

int mr_op_route(int netlink, const char *name, const void *gateway, size_t length)
{
	(void)netlink, (void)name, (void)gateway, (void)length;
	return -ENOSYS;
}

int mr_netlink_request(int protocol, const void *request, size_t length, void *answer, size_t capacity)
{
	(void)protocol, (void)request, (void)length, (void)answer, (void)capacity;
	return -ENOSYS;
}
