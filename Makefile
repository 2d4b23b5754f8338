# SPDX-License-Identifier: GPL-2.0
#
# The human side.  `make help` lists the targets.

KDIR ?= /lib/modules/$(shell uname -r)/build

modules: ## build vballoon.ko for the kernel build tree KDIR
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

.PHONY: modules
