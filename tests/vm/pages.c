// SPDX-License-Identifier: GPL-2.0
/*
 * pages: what page frames are used for, as /proc/kpageflags has it.
 *
 *	pages SIZE		for each SIZE MiB of physical memory that is there:
 *				its number, and how many frames are marked offline,
 *				free, or anything else
 *	pages		the runs of frames that are marked offline: the first's
 *			number, and how many
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* include/uapi/linux/kernel-page-flags.h */
#define BUDDY		10
#define NOPAGE		20
#define OFFLINE		23

#define FRAMES_A_MIB	(1024 * 1024 / sysconf(_SC_PAGESIZE))
#define CHUNK		8192

static uint64_t flags[CHUNK];

static int print_offline(int fd)
{
	long frame = 0, first = -1;
	ssize_t got;

	do {
		got = read(fd, flags, sizeof(flags)) / (ssize_t)sizeof(*flags);
		for (ssize_t i = 0; i < got; i++, frame++) {
			if (flags[i] >> OFFLINE & 1) {
				if (first < 0)
					first = frame;
				continue;
			}
			if (first >= 0)
				printf("%ld %ld\n", first, frame - first);
			first = -1;
		}
	} while (got > 0);
	if (first >= 0)
		printf("%ld %ld\n", first, frame - first);
	return got < 0;
}

int main(int argc, char **argv)
{
	long per = argc == 2 ? atol(argv[1]) * FRAMES_A_MIB : 0;
	long offline = 0, unused = 0, other = 0, frame = 0;
	int fd = open("/proc/kpageflags", O_RDONLY);
	ssize_t got;

	if ((argc > 1 && per <= 0) || fd < 0) {
		fprintf(stderr, "usage: pages [SIZE]\n");
		return 2;
	}
	if (argc == 1)
		return print_offline(fd);
	do {
		got = read(fd, flags, sizeof(flags)) / (ssize_t)sizeof(*flags);
		for (ssize_t i = 0; i < got; i++) {
			if (flags[i] >> OFFLINE & 1)
				offline++;
			else if (flags[i] >> BUDDY & 1)
				unused++;
			else if (!(flags[i] >> NOPAGE & 1))
				other++;
			if (++frame % per)
				continue;
			if (offline + unused + other)
				printf("%ld %ld %ld %ld\n", frame / per - 1, offline, unused, other);
			offline = unused = other = 0;
		}
	} while (got > 0);
	if (offline + unused + other)
		printf("%ld %ld %ld %ld\n", frame / per, offline, unused, other);
	return got < 0;
}
