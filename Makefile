# SPDX-License-Identifier: GPL-2.0
#
# The human side; `make help` lists the targets. Kbuild is the machine's side,
# which alone looks at the kernel tree.

KDIR ?= /lib/modules/$(shell uname -r)/build

# (kernel.release lacks Debian's ABI number on some of its kernels.)
RELEASE = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
	$(KDIR)/include/generated/utsrelease.h)

modules: kdir ## build vballoon.ko for the kernel build tree KDIR=
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

install: kdir ## install vballoon.ko where modprobe finds it, for that kernel
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	depmod -b '$(or $(INSTALL_MOD_PATH),/)' $(RELEASE)

clean: ## remove what a build has left here
	find . -path ./.cache -prune -o \( -name '*.o' -o -name '*.ko' \
		-o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name '.*.d' -o -name Module.symvers -o -name modules.order \
		-o -name __pycache__ \) -exec rm -rf {} +

demo: ## play the story: two guests share a host's memory
	scripts/demo

bench: ## measure beside the in-tree driver and virtio-mem
	scripts/bench

check: ## run the tests (scripts/check --long: the long ones too)
	scripts/check

check-style: ## checkpatch, sparse, W=1, floors and doors, shellcheck, pyflakes, docutils
	scripts/style

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16
	@echo
	@echo 'KDIR is $(KDIR)'

kdir:
	@test -e $(KDIR)/Makefile || { \
		echo 'KDIR=$(KDIR): no kernel build tree there;' \
		     'install linux-headers or give KDIR=' >&2; exit 1; }

.PHONY: modules install clean demo bench check check-style help kdir
