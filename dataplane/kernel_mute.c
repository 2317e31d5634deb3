/*
 * Muting a kernel device whose frames we read, and making them whole.
 *
 * Packet sockets and XDP see frames before the netdev ingress hook, so a drop there leaves them to
 * us alone. The mute stays when we die: else the kernel answers live calls with port unreachable.
 *
 * Whoever sends to a veth leaves segmentation to it and gives us frames of 64 KiB. An XDP program
 * on our end, even one that passes everything, makes the veth switch that off at the other end.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/kernel_parts.h"
#include "log.h"

static const char pass_name[] = "turnpike_pass";

/* --- nftables --- */

static void table_name(const struct port *p, char out[48])
{
	snprintf(out, 48, "turnpike_%s", p->kernel_device);
	for (char *c = out; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
}

static bool run_nft(const char *commands, char *error, size_t cap)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	bool ok = false;

	error[0] = '\0';
	if (nft == NULL)
		return false;
	if (nft_ctx_buffer_error(nft) == 0 && nft_ctx_buffer_output(nft) == 0) {
		ok = nft_run_cmd_from_buffer(nft, commands) == 0;
		snprintf(error, cap, "%s", nft_ctx_get_error_buffer(nft));
		error[strcspn(error, "\n")] = '\0';
	}
	nft_ctx_free(nft);
	return ok;
}

static bool mute_by_nft(const struct port *p)
{
	char commands[512], error[256], table[48];

	table_name(p, table);
	snprintf(commands, sizeof(commands),
	         "add table netdev %s\ndelete table netdev %s\n"
	         "table netdev %s {\nchain ingress {\ntype filter hook ingress device \"%s\" "
	         "priority 0; policy drop;\n}\n}\n",
	         table, table, table, p->kernel_device);
	if (run_nft(commands, error, sizeof(error)))
		return true;
	log_info("kernel", "mute", "device=%s note=\"nftables refused, using sysctls: %.120s\"",
	         p->kernel_device, error);
	return false;
}

static void device_sysctl(const struct port *p, const char *family, const char *key,
                          char out[SAVED_TEXT])
{
	snprintf(out, SAVED_TEXT, "net/%s/conf/%s/%s", family, p->kernel_device, key);
}

static int set_device_sysctl(struct takeover *t, const char *family, const char *key,
                             const char *value)
{
	char name[SAVED_TEXT];
	int rc;

	device_sysctl(t->port, family, key, name);
	rc = saved_sysctl_set(t, name, value);
	if (rc != 0 && rc != -ENOENT)
		log_warning("kernel", "mute", "sysctl=%s value=%s error=\"%s\"", name, value,
		            strerror(-rc));
	return rc;
}

/* --- XDP --- */

static bool program_is_ours(uint32_t id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	const int fd = bpf_prog_get_fd_by_id(id);
	bool ours;

	if (fd < 0)
		return false;
	ours = bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && strcmp(info.name, pass_name) == 0;
	close(fd);
	return ours;
}

static uint32_t attached_program(const struct port *p)
{
	uint32_t id = 0;

	if (bpf_xdp_query_id((int)p->kernel_ifindex, 0, &id) != 0)
		return 0;
	return id;
}

void kernel_clear_pass(const struct port *p)
{
	const uint32_t id = attached_program(p);

	if (id != 0 && program_is_ours(id))
		bpf_xdp_detach((int)p->kernel_ifindex, 0, NULL);
}

static int ethtool(const struct port *p, void *request)
{
	struct ifreq ifr = { .ifr_data = request };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, p->kernel_device, sizeof(p->kernel_device));
	rc = ioctl(fd, SIOCETHTOOL, &ifr) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

static bool is_veth(const struct port *p)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	return ethtool(p, &info) == 0 && strcmp(info.driver, "veth") == 0;
}

static void attach_pass(const struct port *p)
{
	/* r0 = XDP_PASS; exit */
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int fd, rc;

	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, pass_name, "Dual BSD/GPL", code,
	                   sizeof(code) / sizeof(code[0]), &opts);
	rc = fd < 0 ? fd
	            : bpf_xdp_attach((int)p->kernel_ifindex, fd,
	                             XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_DRV_MODE, NULL);
	if (fd >= 0)
		close(fd);
	if (rc != 0)
		log_warning(
			"kernel", "xdp",
			"device=%s error=\"%s\" note=\"no XDP program could be attached; switch "
			"tso "
			"and gso off at the other end of the veth, or TCP to this host stalls\"",
			p->kernel_device, strerror(-rc));
}

/* --- offloads that merge frames --- */

static int get_flag(const struct port *p, uint32_t request, uint32_t bit)
{
	struct ethtool_value v = { .cmd = request };

	if (ethtool(p, &v) != 0)
		return -1;
	return (v.data & bit) != 0;
}

static void set_gro(const struct port *p, bool on)
{
	struct ethtool_value v = { .cmd = ETHTOOL_SGRO, .data = on };

	ethtool(p, &v);
}

static void set_lro(const struct port *p, bool on)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GFLAGS };

	if (ethtool(p, &v) != 0)
		return;
	v.cmd = ETHTOOL_SFLAGS;
	v.data = on ? v.data | ETH_FLAG_LRO : v.data & ~(uint32_t)ETH_FLAG_LRO;
	ethtool(p, &v);
}

/* --- all of it --- */

void mute_note(struct takeover *t)
{
	static const char *const keys[][2] = { { "ipv6", "disable_ipv6" },
		                               { "ipv4", "rp_filter" },
		                               { "ipv4", "arp_ignore" } };
	char name[SAVED_TEXT];
	uint32_t id;

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		device_sysctl(t->port, keys[i][0], keys[i][1], name);
		saved_sysctl_note(t, name);
	}
	if (t->adopted)
		return;
	id = attached_program(t->port);
	/* An AF_XDP port has its driver's program attached by now. */
	t->xdp_before = t->port->cfg->kind == DEVICE_AF_PACKET && id != 0 && !program_is_ours(id);
	t->gro = get_flag(t->port, ETHTOOL_GGRO, 1);
	t->lro = get_flag(t->port, ETHTOOL_GFLAGS, ETH_FLAG_LRO);
}

int mute_device(struct takeover *t)
{
	const struct port *p = t->port;

	t->muted_by_nft = mute_by_nft(p);
	if (!t->muted_by_nft) {
		const int filter = set_device_sysctl(t, "ipv4", "rp_filter", "1");
		const int arp = set_device_sysctl(t, "ipv4", "arp_ignore", "8");

		if (filter != 0 || arp != 0)
			return filter != 0 ? filter : arp;
	}
	/* Also where nft works: the device has the TAP's MAC address, so it would have its
	 * link-local address too. */
	set_device_sysctl(t, "ipv6", "disable_ipv6", "1");
	if (t->gro == 1)
		set_gro(p, false);
	if (t->lro == 1)
		set_lro(p, false);
	if (p->cfg->kind == DEVICE_AF_PACKET && is_veth(p) && attached_program(p) == 0)
		attach_pass(p);
	return 0;
}

void mute_end(struct takeover *t)
{
	const struct port *p = t->port;
	char commands[160], error[256], table[48];

	/* Ours, or what a driver that was killed left behind. */
	if (!t->xdp_before && attached_program(p) != 0)
		bpf_xdp_detach((int)p->kernel_ifindex, 0, NULL);
	if (t->gro == 1)
		set_gro(p, true);
	if (t->lro == 1)
		set_lro(p, true);
	table_name(p, table);
	snprintf(commands, sizeof(commands), "add table netdev %s\ndelete table netdev %s\n", table,
	         table);
	if (!run_nft(commands, error, sizeof(error)) && t->muted_by_nft)
		log_warning("kernel", "give_back",
		            "device=%s error=\"the nft table stays: %.120s\"", p->kernel_device,
		            error);
}
