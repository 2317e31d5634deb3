/*
 * The af_packet driver joins its fanout with PACKET_FANOUT_FLAG_DEFRAG and has no option to leave
 * it out: the kernel then puts fragments together before we see them, and a datagram larger than
 * the driver's ring frame arrives cut. A relay must see fragments as they came (TURN-145,
 * TURN-096).
 *
 * The program therefore has a setsockopt() of its own, which takes that one flag out and passes
 * everything else on unchanged. It is in the program, not in the library: only an executable's
 * symbol comes before libc's in the driver's eyes.
 */
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int fanout;

	if (level == SOL_PACKET && name == PACKET_FANOUT && len == sizeof(fanout)) {
		memcpy(&fanout, value, sizeof(fanout));
		fanout &= ~(PACKET_FANOUT_FLAG_DEFRAG << 16);
		value = &fanout;
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
