/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The balloon's attributes, for the tests in C.
 */
#ifndef SELFTEST_BALLOON_H
#define SELFTEST_BALLOON_H

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRIVER	"/sys/bus/virtio/drivers/vballoon"

/* Have the driver bound, as the shell tests do. Return: why not, or NULL. */
static inline const char *balloon_need_bound(void)
{
	static char why[256];
	FILE *shell = popen(". ./vballoon.sh; vb_need_bound", "r");

	if (!shell)
		return "no shell";
	if (!fgets(why, sizeof(why), shell))
		*why = '\0';
	why[strcspn(why, "\n")] = '\0';
	return pclose(shell) ? why : NULL;
}

/* The name of the bound virtio device, or "". */
static inline void balloon_device(char *name, size_t size)
{
	glob_t found = { 0 };

	*name = '\0';
	if (!glob(DRIVER "/virtio*", 0, NULL, &found))
		snprintf(name, size, "%s", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
}

/* Read or write in one call, as sysfs wants it. Return: bytes, or -errno. */
static inline int file_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	int rc = fd < 0 ? -errno : 0;

	if (rc)
		return rc;
	rc = read(fd, text, size - 1);
	if (rc < 0)
		rc = -errno;
	else
		text[rc] = '\0';
	close(fd);
	return rc;
}

static inline int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int rc = fd < 0 ? -errno : 0;

	if (rc)
		return rc;
	rc = write(fd, text, strlen(text));
	if (rc < 0)
		rc = -errno;
	close(fd);
	return rc;
}

#endif
