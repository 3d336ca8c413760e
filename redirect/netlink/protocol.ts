/**
 * The numbers of the kernel's nftables interface that changes of elements and looks at the table need.
 *
 * Source: linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h, libnftnl's udata.h, bits/socket.h, asm-generic/; names are the headers'.
 * They are the same on every architecture that Deno runs on.
 * @module
 */

export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const NETLINK_NETFILTER = 12;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_SNDBUFFORCE = 32;
export const SOL_NETLINK = 270;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;

export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

export const ENOBUFS = 105;

export const NLMSG_HDRLEN = 16;
export const NLMSG_ERROR = 2;
/** The end of a dump. */
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x001;
export const NLM_F_ACK = 0x004;
/** Of a dump: there was a transaction meanwhile, so that its parts need not belong together. */
export const NLM_F_DUMP_INTR = 0x010;
export const NLM_F_DUMP = 0x300;
export const NLM_F_CREATE = 0x400;
/** The error's message follows, but for its header cut off. */
export const NLM_F_CAPPED = 0x100;
/** Attributes follow. */
export const NLM_F_ACK_TLVS = 0x200;
export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLA_HDRLEN = 4;
export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1;
export const NFNETLINK_V0 = 0;
export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNL_MSG_BATCH_BEGIN = 16;
export const NFNL_MSG_BATCH_END = 17;
export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_GETTABLE = 1;
export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_GETRULE = 7;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_DELSETELEM = 14;
export const NFT_MSG_NEWGEN = 15;
export const NFT_MSG_GETGEN = 16;

/** Netfilter's own header, behind that of netlink: family, version, resource. */
export const NFGENMSG_LEN = 4;
export const NFTA_GEN_ID = 1;
export const NFTA_TABLE_NAME = 1;
export const NFTA_TABLE_HANDLE = 4;
export const NFTA_RULE_TABLE = 1;
export const NFTA_RULE_CHAIN = 2;
export const NFTA_RULE_USERDATA = 7;
/** The comment, among what nft keeps with a rule for itself. */
export const NFTNL_UDATA_RULE_COMMENT = 0;

export const NFTA_SET_ELEM_LIST_TABLE = 1;
export const NFTA_SET_ELEM_LIST_SET = 2;
export const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
export const NFTA_LIST_ELEM = 1;
export const NFTA_SET_ELEM_KEY = 1;
export const NFTA_SET_ELEM_DATA = 2;
export const NFTA_SET_ELEM_KEY_END = 10;
export const NFTA_DATA_VALUE = 1;
