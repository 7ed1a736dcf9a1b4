/* rtnetlink.c: what a start asks of the network stack, in the kernel's own messages.
 *
 * Owns: what the operations VETH, LINK_UP, ADDRESS, ROUTE ask of the kernel, and one call that carries any request of Python's.
 * Leaves to others: bridges, rule sets and choosing addresses (minirun/network), reading answers (network/netlink.py).
 *
 * Requests are built in a fixed buffer on the stack: the child runs this between clone and exec, where nothing may allocate.
 * Every length is checked when it is written; a name or an address that doesn't fit is -EINVAL, never a longer attribute.
 * The kernel answers a netlink request before sendto(2) returns, so receiving never waits: MSG_DONTWAIT keeps that a fact.
 *
 * One file: the operations are a few lines each, on one builder of messages and one way to wait for the answer.
 *
 * Sources: netlink(7), rtnetlink(7), veth(4), linux/rtnetlink.h, linux/if_link.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define REQUEST_BYTES 640u
#define LINK_BYTES 8192u     /* the description of one interface, without statistics */
#define ANSWER_BYTES 32768u /* the largest datagram that the kernel builds for a dump */
#define MAC_BYTES 6u
#define PEER_ATTEMPTS 500 /* 0.2 ms each */

#define OWN_NAMESPACE (-1)

/* Not reachable beside the C library's headers: linux/if_link.h's IN6_ADDR_GEN_MODE_NONE, linux/if.h's IF_OPER_UP. */
#define ADDR_GEN_MODE_NONE 1u
#define IF_OPER_UP 6

/* One message. `error` sticks: builders don't have to be checked one by one. */
struct request {
	_Alignas(NLMSG_ALIGNTO) unsigned char bytes[REQUEST_BYTES];
	size_t used;
	int error;
};

/* ---- Building -------------------------------------------------------------------------------------------------- */

static void *grow(struct request *request, size_t length)
{
	size_t aligned = NLMSG_ALIGN(length);

	if (request->error != 0)
		return NULL;
	if (aligned < length || aligned > sizeof request->bytes - request->used) {
		request->error = -EMSGSIZE;
		return NULL;
	}
	void *place = request->bytes + request->used;
	memset(place, 0, aligned);
	request->used += aligned;
	return place;
}

static void begin(struct request *request, uint16_t type, uint16_t flags, const void *body, size_t length)
{
	struct nlmsghdr *header = grow(request, NLMSG_HDRLEN);
	void *place = grow(request, length);

	if (header == NULL || place == NULL)
		return;
	memcpy(place, body, length);
	header->nlmsg_type = type;
	header->nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST | NLM_F_ACK);
}

static void attribute(struct request *request, uint16_t type, const void *value, size_t length)
{
	if (length > REQUEST_BYTES) {
		request->error = -EMSGSIZE;
		return;
	}
	struct rtattr *place = grow(request, RTA_LENGTH(length));
	if (place == NULL)
		return;
	place->rta_type = type;
	place->rta_len = (unsigned short)RTA_LENGTH(length);
	if (length > 0)
		memcpy(RTA_DATA(place), value, length);
}

static void attribute_u32(struct request *request, uint16_t type, uint32_t value)
{
	attribute(request, type, &value, sizeof value);
}

static void attribute_name(struct request *request, uint16_t type, const char *name)
{
	attribute(request, type, name, strlen(name) + 1);
}

static size_t open_nest(struct request *request, uint16_t type)
{
	size_t start = request->used;

	attribute(request, type, NULL, 0);
	return start;
}

static void close_nest(struct request *request, size_t start)
{
	if (request->error == 0)
		((struct rtattr *)(void *)(request->bytes + start))->rta_len = (unsigned short)(request->used - start);
}

static bool is_interface_name(const char *name)
{
	size_t length = strnlen(name, IFNAMSIZ);

	return length > 0 && length < IFNAMSIZ;
}

/* ---- Talking --------------------------------------------------------------------------------------------------- */

/* A netlink socket of the calling process's network namespace: a descriptor or -errno. socket(2). */
int mr_netlink_open(int protocol)
{
	int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	int on = 1;

	if (descriptor < 0)
		return -errno;
	/* An acknowledgement needn't repeat the request. Older kernels than 4.3 don't know the option; nothing depends on it. */
	(void)setsockopt(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	return descriptor;
}

static int send_to_kernel(int descriptor, const void *request, size_t length)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t sent = sendto(descriptor, request, length, 0, (struct sockaddr *)&kernel, sizeof kernel);

	if (sent < 0)
		return -errno;
	return (size_t)sent == length ? 0 : -EIO;
}

/* Receive until `ends` requests are acknowledged or done. Messages that carry data are appended to `answer`.
 * Gives the bytes of the answer, or the first error that the kernel reported, or -EMSGSIZE when the answer doesn't fit. */
static int receive(int descriptor, unsigned char *buffer, size_t size, uint32_t ends, unsigned char *answer,
		   size_t capacity)
{
	size_t used = 0;

	while (ends > 0) {
		ssize_t received = recv(descriptor, buffer, size, MSG_DONTWAIT | MSG_TRUNC);
		if (received < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if ((size_t)received > size)
			return -EMSGSIZE;
		size_t left = (size_t)received;
		const unsigned char *place = buffer;
		while (left >= NLMSG_HDRLEN) {
			struct nlmsghdr header;
			memcpy(&header, place, sizeof header);
			if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > left)
				return -EBADMSG;
			if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
				/* Both carry an int first: 0 or -errno. DONE has had it since dumps can fail midway. */
				int error = 0;
				if (header.nlmsg_len >= NLMSG_LENGTH(sizeof error))
					memcpy(&error, place + NLMSG_HDRLEN, sizeof error);
				if (error < 0)
					return error;
				if (ends > 0)
					ends--;
			} else if (capacity > 0 && header.nlmsg_type != NLMSG_NOOP) {
				if (header.nlmsg_len > capacity - used)
					return -EMSGSIZE;
				memcpy(answer + used, place, header.nlmsg_len);
				used += header.nlmsg_len;
			}
			size_t step = NLMSG_ALIGN((size_t)header.nlmsg_len);
			if (step >= left)
				break;
			place += step;
			left -= step;
		}
	}
	return (int)used;
}

/* Send one request; its answer's data, if there is any and `answer` is not NULL, is what the result counts. */
static int converse(int descriptor, struct request *request, unsigned char *answer, size_t capacity)
{
	_Alignas(NLMSG_ALIGNTO) unsigned char buffer[LINK_BYTES];
	struct nlmsghdr *header = (struct nlmsghdr *)(void *)request->bytes;

	if (request->error != 0)
		return request->error;
	header->nlmsg_len = (uint32_t)request->used;
	int result = send_to_kernel(descriptor, request->bytes, request->used);
	if (result < 0)
		return result;
	return receive(descriptor, buffer, sizeof buffer, 1, answer, capacity);
}

static int exchange(int descriptor, struct request *request)
{
	return converse(descriptor, request, NULL, 0);
}

/* netdevice(7). Any socket carries this ioctl: the netlink socket at hand saves opening another. */
static int interface_index(int descriptor, const char *name)
{
	struct ifreq query = {0};

	if (!is_interface_name(name))
		return -EINVAL;
	memcpy(query.ifr_name, name, strlen(name));
	if (ioctl(descriptor, SIOCGIFINDEX, &query) < 0)
		return -errno;
	return query.ifr_ifindex;
}

/* How many requests of `request` end with an acknowledgement or a DONE; -EINVAL for a length that lies. */
static int count_ends(const unsigned char *request, size_t length)
{
	int ends = 0;

	while (length >= NLMSG_HDRLEN) {
		struct nlmsghdr header;
		memcpy(&header, request, sizeof header);
		if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > length)
			return -EINVAL;
		bool dumps = (header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
		if (dumps || (header.nlmsg_flags & NLM_F_ACK) != 0)
			ends++;
		size_t step = NLMSG_ALIGN((size_t)header.nlmsg_len);
		if (step >= length)
			return ends;
		request += step;
		length -= step;
	}
	return length == 0 ? ends : -EINVAL;
}

/* Send one datagram of netlink messages and collect the answers to those that ask for one (NLM_F_ACK, NLM_F_DUMP).
 * Gives the bytes written to `answer` (data messages only), or -errno: the first error that the kernel reports, -EMSGSIZE
 * when the answer is larger than `capacity`. Never blocks. netlink(7); privilege: that of the request. */
int mr_netlink_request(int protocol, const void *request, size_t length, void *answer, size_t capacity)
{
	_Alignas(NLMSG_ALIGNTO) unsigned char buffer[ANSWER_BYTES];
	int ends = count_ends(request, length);

	if (ends < 0)
		return ends;
	MR_AUTOCLOSE descriptor = mr_netlink_open(protocol);
	if (descriptor < 0)
		return descriptor;
	int result = send_to_kernel(descriptor, request, length);
	if (result < 0)
		return result;
	return receive(descriptor, buffer, sizeof buffer, (uint32_t)ends, answer, capacity);
}

/* ---- Operations ------------------------------------------------------------------------------------------------ */

static void one_queue(struct request *request)
{
	/* veth(4) makes a pair of queues per possible CPU, each with its directory in sysfs: on a large host that is most of the
	 * cost of a start. A pair without queueing discipline gains nothing from more than one. */
	attribute_u32(request, IFLA_NUM_TX_QUEUES, 1);
	attribute_u32(request, IFLA_NUM_RX_QUEUES, 1);
}

/* A pair whose peer is born in the network namespace of process `peer` (still down: LINK_UP is the child's) with the hardware
 * address `mac` (6 bytes, or length 0: the kernel chooses). CAP_NET_ADMIN in the namespaces of both ends. */
static int create_pair(int netlink, int bridge_index, const char *host_name, const char *peer_name, const void *mac,
		       size_t mac_length, pid_t peer)
{
	struct request request = {.error = 0};
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC};

	begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
	attribute_name(&request, IFLA_IFNAME, host_name);
	one_queue(&request);
	attribute_u32(&request, IFLA_MASTER, (uint32_t)bridge_index);
	size_t info = open_nest(&request, IFLA_LINKINFO);
	attribute_name(&request, IFLA_INFO_KIND, "veth");
	size_t data = open_nest(&request, IFLA_INFO_DATA);
	size_t other_end = open_nest(&request, VETH_INFO_PEER);
	(void)grow(&request, sizeof link); /* all zero: nothing is asked of the peer's flags */
	attribute_name(&request, IFLA_IFNAME, peer_name);
	if (mac_length > 0)
		attribute(&request, IFLA_ADDRESS, mac, mac_length);
	one_queue(&request);
	attribute_u32(&request, IFLA_NET_NS_PID, (uint32_t)peer);
	close_nest(&request, other_end);
	close_nest(&request, data);
	close_nest(&request, info);
	return exchange(netlink, &request);
}

/* The host end goes up when it is a bridge port, with two settings that the kernel takes as a change only, hence a request of
 * its own.
 *
 * Hairpin: a frame may leave by the port it came from. Where br_netfilter is loaded, published ports are translated while the
 * frame is still in the bridge, and a container that reaches itself by the host's address would be cut off.
 * No IPv6 address: a port has nobody to talk to, and whatever it said would reach the container. */
static int raise_port(int netlink, const char *host_name, bool has_ipv6)
{
	struct request request = {.error = 0};
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	unsigned char mode = ADDR_GEN_MODE_NONE;
	unsigned char on = 1;

	begin(&request, RTM_NEWLINK, 0, &link, sizeof link);
	attribute_name(&request, IFLA_IFNAME, host_name);
	size_t info = open_nest(&request, IFLA_LINKINFO);
	attribute_name(&request, IFLA_INFO_SLAVE_KIND, "bridge");
	size_t port = open_nest(&request, IFLA_INFO_SLAVE_DATA);
	attribute(&request, IFLA_BRPORT_MODE, &on, sizeof on);
	close_nest(&request, port);
	close_nest(&request, info);
	if (has_ipv6) {
		size_t families = open_nest(&request, IFLA_AF_SPEC);
		size_t inet6 = open_nest(&request, AF_INET6);
		attribute(&request, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
		close_nest(&request, inet6);
		close_nest(&request, families);
	}
	int result = exchange(netlink, &request);
	return result == -EAFNOSUPPORT && has_ipv6 ? raise_port(netlink, host_name, false) : result;
}

static void delete_link(int netlink, const char *name)
{
	struct request request = {.error = 0};
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC};

	begin(&request, RTM_DELLINK, 0, &link, sizeof link);
	attribute_name(&request, IFLA_IFNAME, name);
	(void)exchange(netlink, &request);
}

/* ip link add HOST_NAME master BRIDGE up type veth peer PEER_NAME netns PEER. Nothing is left behind on failure. */
int mr_op_veth(int netlink, const char *bridge, const char *host_name, const char *peer_name, const void *mac,
	       size_t mac_length, pid_t peer)
{
	if (!is_interface_name(host_name) || !is_interface_name(peer_name) || peer <= 0)
		return -EINVAL;
	if (mac_length != 0 && mac_length != MAC_BYTES)
		return -EINVAL;
	int bridge_index = interface_index(netlink, bridge);
	if (bridge_index < 0)
		return bridge_index;
	int result = create_pair(netlink, bridge_index, host_name, peer_name, mac, mac_length, peer);
	if (result < 0)
		return result;
	result = raise_port(netlink, host_name, true);
	if (result < 0)
		delete_link(netlink, host_name);
	return result;
}

/* What LINK_UP has to know of an interface; -1: not told. */
struct link_state {
	int32_t peer_index;
	int32_t peer_namespace;
	int32_t bridge_index;
	int32_t operational; /* IFLA_OPERSTATE, RFC 2863 */
};

static int32_t number_of(const struct rtattr *attribute, const unsigned char *value)
{
	int32_t number = -1;

	if (attribute->rta_len == RTA_LENGTH(sizeof number))
		memcpy(&number, value, sizeof number);
	else if (attribute->rta_len == RTA_LENGTH(1))
		number = *value;
	return number;
}

/* Ask for an interface by name (or NULL) or index, in the network namespace that ours knows as `namespace` (or OWN_NAMESPACE). */
static int read_link(int netlink, const char *name, int32_t index, int32_t namespace, struct link_state *state)
{
	_Alignas(NLMSG_ALIGNTO) unsigned char answer[LINK_BYTES];
	struct request request = {.error = 0};
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = index};

	begin(&request, RTM_GETLINK, 0, &link, sizeof link);
	if (name != NULL)
		attribute_name(&request, IFLA_IFNAME, name);
	if (namespace != OWN_NAMESPACE)
		attribute_u32(&request, IFLA_TARGET_NETNSID, (uint32_t)namespace);
	attribute_u32(&request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	int length = converse(netlink, &request, answer, sizeof answer);
	if (length < 0)
		return length;

	*state = (struct link_state){-1, -1, -1, -1};
	size_t place = NLMSG_LENGTH(sizeof link);
	while (place + sizeof(struct rtattr) <= (size_t)length) {
		struct rtattr attribute;
		memcpy(&attribute, answer + place, sizeof attribute);
		if (attribute.rta_len < sizeof attribute || attribute.rta_len > (size_t)length - place)
			return -EBADMSG;
		int32_t number = number_of(&attribute, answer + place + RTA_LENGTH(0));
		if (attribute.rta_type == IFLA_LINK)
			state->peer_index = number;
		else if (attribute.rta_type == IFLA_LINK_NETNSID)
			state->peer_namespace = number;
		else if (attribute.rta_type == IFLA_MASTER)
			state->bridge_index = number;
		else if (attribute.rta_type == IFLA_OPERSTATE)
			state->operational = number;
		place += RTA_ALIGN((size_t)attribute.rta_len);
	}
	return 0;
}

/* Wait until interface `index` is in operation, as far as asking for it doesn't make it so; its description is left in `state`. */
static int await_operation(int netlink, int32_t index, int32_t namespace, struct link_state *state)
{
	const struct timespec pause = {.tv_nsec = 200000};
	int result = 0;

	for (int attempt = 0; attempt < PEER_ATTEMPTS; attempt++) {
		result = read_link(netlink, NULL, index, namespace, state);
		if (result < 0 || state->operational == IF_OPER_UP)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return result;
}

/* Wait until the other end of a veth pair passes frames.
 *
 * With this end up the pair has a carrier, but the other end (its queue, its port of the bridge) hears of that from a kernel
 * worker, some 0.1 ms later on an idle host and 30 ms on a busy one; a bridge whose first port this is hears of it later still.
 * A frame that comes before is dropped, and what it was, a question for an address or the start of a connection, is repeated
 * after a whole second. Since Linux 6.8 asking for an interface does the worker's part for it at once (rtnl_getlink,
 * linkwatch_sync_dev); before, asking again is what is left. Gives up silently: late is better than not at all.
 * CAP_NET_ADMIN in the other end's namespace. */
static void await_peer(int netlink, const char *name)
{
	struct link_state own;
	struct link_state peer;
	struct link_state bridge;

	if (read_link(netlink, name, 0, OWN_NAMESPACE, &own) < 0 || own.peer_index <= 0 || own.peer_namespace < 0)
		return;
	if (await_operation(netlink, own.peer_index, own.peer_namespace, &peer) == 0 && peer.bridge_index > 0)
		(void)await_operation(netlink, peer.bridge_index, own.peer_namespace, &bridge);
}

/* By which number our network namespace knows that of process `peer`: none yet is NETNSA_NSID_NOT_ASSIGNED. */
static int namespace_number(int netlink, pid_t peer, int32_t *number)
{
	_Alignas(NLMSG_ALIGNTO) unsigned char answer[256];
	struct request request = {.error = 0};
	struct rtgenmsg body = {.rtgen_family = AF_UNSPEC};
	const size_t place = NLMSG_LENGTH(sizeof body) + NLMSG_ALIGN(sizeof body) - sizeof body;
	struct rtattr attribute;

	begin(&request, RTM_GETNSID, 0, &body, sizeof body);
	attribute_u32(&request, NETNSA_PID, (uint32_t)peer);
	int length = converse(netlink, &request, answer, sizeof answer);
	if (length < 0)
		return length;
	if ((size_t)length < place + RTA_LENGTH(sizeof *number))
		return -EBADMSG;
	memcpy(&attribute, answer + place, sizeof attribute);
	if (attribute.rta_type != NETNSA_NSID || attribute.rta_len != RTA_LENGTH(sizeof *number))
		return -EBADMSG;
	memcpy(number, answer + place + RTA_LENGTH(0), sizeof *number);
	return 0;
}

/* Let our network namespace know that of `peer` by a number, as each of a veth pair's ends does of the other's. */
static int number_namespace(int netlink, pid_t peer, int32_t *number)
{
	struct request request = {.error = 0};
	struct rtgenmsg body = {.rtgen_family = AF_UNSPEC};
	int result = namespace_number(netlink, peer, number);

	if (result < 0 || *number != NETNSA_NSID_NOT_ASSIGNED)
		return result;
	begin(&request, RTM_NEWNSID, 0, &body, sizeof body);
	attribute_u32(&request, NETNSA_PID, (uint32_t)peer);
	attribute_u32(&request, NETNSA_NSID, (uint32_t)NETNSA_NSID_NOT_ASSIGNED); /* any */
	result = exchange(netlink, &request);
	if (result < 0 && result != -EEXIST)
		return result;
	return namespace_number(netlink, peer, number);
}

/* The kernel takes a name in which it replaces one %d by a number. */
static bool is_template(const char *name)
{
	return strstr(name, "%d") != NULL;
}

/* As the kernel has it (dev_valid_name in net/core/dev.c). */
static bool is_acceptable_name(const char *name)
{
	const char *percent = strchr(name, '%');

	if (!is_interface_name(name) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (percent != NULL && (percent[1] != 'd' || strchr(percent + 1, '%') != NULL))
		return false;
	return name[strcspn(name, "/: \t\n\v\f\r\xa0")] == 0;
}

/* ip link set NAME netns PEER name INSIDE: what the interface had (addresses, being up) stays behind. CAP_NET_ADMIN in both.
 *
 * The kernel moves first and renames then: a name that it doesn't take would leave the interface inside, to be destroyed with a
 * start that failed. So the name is looked at before. */
int mr_op_link_move(int netlink, const char *name, const char *inside, pid_t peer)
{
	struct request request = {.error = 0};
	struct link_state taken;
	int32_t namespace;

	if (!is_interface_name(name) || !is_acceptable_name(inside))
		return -EINVAL;
	int index = interface_index(netlink, name);
	if (index < 0)
		return index;
	int result = number_namespace(netlink, peer, &namespace);
	if (result == 0 && !is_template(inside)) {
		result = read_link(netlink, inside, 0, namespace, &taken);
		if (result == 0)
			return -EEXIST;
		if (result == -ENODEV)
			result = 0;
	}
	if (result < 0)
		return result;
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	begin(&request, RTM_NEWLINK, 0, &link, sizeof link);
	attribute_name(&request, IFLA_IFNAME, inside);
	attribute_u32(&request, IFLA_NET_NS_PID, (uint32_t)peer);
	return exchange(netlink, &request);
}

/* Asked without the RTNL lock, which every other start's network wants too. netdevice(7) */
static bool is_up(int netlink, const char *name)
{
	struct ifreq question = {.ifr_flags = 0};

	strncpy(question.ifr_name, name, sizeof question.ifr_name - 1);
	return ioctl(netlink, SIOCGIFFLAGS, &question) == 0 && question.ifr_flags & IFF_UP;
}

/* ip link set NAME up; for one end of a veth pair, when the other passes frames. CAP_NET_ADMIN. */
int mr_op_link_up(int netlink, const char *name)
{
	struct request request = {.error = 0};
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	if (!is_interface_name(name))
		return -EINVAL;
	if (strcmp(name, "lo") == 0 && is_up(netlink, name)) /* in a namespace made ahead */
		return 0;
	begin(&request, RTM_NEWLINK, 0, &link, sizeof link);
	attribute_name(&request, IFLA_IFNAME, name);
	int result = exchange(netlink, &request);
	if (result == 0 && strcmp(name, "lo") != 0)
		await_peer(netlink, name);
	return result;
}

static int family_of(size_t length)
{
	switch (length) {
	case sizeof(struct in_addr):
		return AF_INET;
	case sizeof(struct in6_addr):
		return AF_INET6;
	default:
		return -EINVAL;
	}
}

/* ip address add ADDRESS/PREFIX dev NAME. An IPv6 address skips duplicate address detection: the lease is unique already, and
 * a tentative address would make the container's first connection wait a second or more. CAP_NET_ADMIN. */
int mr_op_address(int netlink, const char *name, const void *address, size_t length, unsigned prefix)
{
	struct request request = {.error = 0};
	int family = family_of(length);

	if (family < 0 || prefix > length * 8)
		return -EINVAL;
	int index = interface_index(netlink, name);
	if (index < 0)
		return index;
	struct ifaddrmsg body = {.ifa_family = (unsigned char)family,
				 .ifa_prefixlen = (unsigned char)prefix,
				 .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
				 .ifa_scope = RT_SCOPE_UNIVERSE,
				 .ifa_index = (uint32_t)index};
	begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
	attribute(&request, IFA_LOCAL, address, length);
	attribute(&request, IFA_ADDRESS, address, length);
	if (family == AF_INET && prefix < 31) {
		uint32_t broadcast;
		memcpy(&broadcast, address, sizeof broadcast);
		broadcast |= htonl(prefix == 0 ? UINT32_MAX : UINT32_MAX >> prefix);
		attribute_u32(&request, IFA_BROADCAST, broadcast);
	}
	return exchange(netlink, &request);
}

/* ip route add default via GATEWAY dev NAME. CAP_NET_ADMIN. */
int mr_op_route(int netlink, const char *name, const void *gateway, size_t length)
{
	struct request request = {.error = 0};
	int family = family_of(length);

	if (family < 0)
		return -EINVAL;
	int index = interface_index(netlink, name);
	if (index < 0)
		return index;
	struct rtmsg body = {.rtm_family = (unsigned char)family,
			     .rtm_table = RT_TABLE_MAIN,
			     .rtm_protocol = RTPROT_BOOT,
			     .rtm_scope = RT_SCOPE_UNIVERSE,
			     .rtm_type = RTN_UNICAST};
	begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
	attribute_u32(&request, RTA_OIF, (uint32_t)index);
	attribute(&request, RTA_GATEWAY, gateway, length);
	return exchange(netlink, &request);
}
