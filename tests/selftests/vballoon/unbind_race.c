// SPDX-License-Identifier: GPL-2.0
/*
 * Users read and write the attributes while the driver comes and goes: each
 * call works or finds nothing, and the driver comes and goes all the same.
 */
#include <pthread.h>
#include <time.h>

#include "../kselftest_harness.h"
#include "balloon.h"

#define SECONDS	5
#define READERS	3

static char device[32];
static bool stop;

static bool is_fine(int rc)
{
	return rc >= 0 || rc == -ENOENT || rc == -ENODEV;
}

static void *use(void *error)
{
	static const char *const names[] = {
		"target_bytes", "actual_bytes", "reserve_bytes", "state",
		"limited_by", "stats/buffers", "stats/silences",
	};
	char path[128], text[4096];
	unsigned int i;
	int rc = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && is_fine(rc)) {
		for (i = 0; i < ARRAY_SIZE(names) && is_fine(rc); i++) {
			snprintf(path, sizeof(path), DRIVER "/%s/balloon/%s",
				 device, names[i]);
			rc = file_read(path, text, sizeof(text));
		}
		snprintf(path, sizeof(path), DRIVER "/%s/balloon/reserve_bytes",
			 device);
		if (is_fine(rc))
			rc = file_write(path, "64M");
	}
	*(int *)error = is_fine(rc) ? 0 : rc;
	return NULL;
}

TEST(attributes_while_unbinding)
{
	const char *why = balloon_need_bound();
	pthread_t readers[READERS];
	int errors[READERS];
	time_t end;
	int i;

	if (why)
		SKIP(return, "%s", why);
	balloon_device(device, sizeof(device));
	ASSERT_NE('\0', device[0]);

	for (i = 0; i < READERS; i++)
		ASSERT_EQ(0, pthread_create(&readers[i], NULL, use, &errors[i]));
	end = time(NULL) + SECONDS;
	while (time(NULL) < end) {
		EXPECT_LT(0, file_write(DRIVER "/unbind", device));
		usleep(20000);
		EXPECT_LT(0, file_write(DRIVER "/bind", device));
		usleep(50000);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i], NULL);
		EXPECT_EQ(0, errors[i]);
	}
}

TEST_HARNESS_MAIN
