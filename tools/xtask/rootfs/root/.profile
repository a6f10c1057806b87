# SPDX-License-Identifier: BSD-2-Clause
PS1='guest:\w# '
HISTFILE=
export SYSTEMD_PAGER=
if [ "$(tty)" = /dev/ttyAMA0 ]; then
    mark
    echo "guest is ready: $(uname -sr) on $(nproc) CPU"
fi
