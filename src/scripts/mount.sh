#!/bin/sh
# mount(8) for tools that install systems, where nobody may mount sysfs and devtmpfs: what the container has
# of them stands in.
type='' target='' before=''
for word; do
    case $before in
    -t | --types) type=$word ;;
    -o | --options) ;;
    *)
        case $word in
        --types=*) type=${word#--types=} ;;
        -t?*) type=${word#-t} ;;
        -*) ;;
        *) target=$word ;;
        esac
        ;;
    esac
    before=$word
done
PATH=${PATH#*:}
case $type in
sysfs) exec mount --bind /sys "$target" ;;
# Its parts can only be shown as a whole.
devtmpfs) exec mount --rbind /dev "$target" ;;
esac
exec mount "$@"
