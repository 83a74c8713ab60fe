import sys, h5py, numpy as np
out = sys.argv[1]
def fill(f, order):
    g = f.create_group('layer')
    g.attrs['weight_names'] = [b'a:0', b'b:0']           # fixed, padded
    g.attrs['names'] = np.array(['eins', 'zwei\u00e9'], dtype=h5py.string_dtype())
    f.attrs['text'] = 'variable'
    f.attrs['fixed'] = np.bytes_(b'fixed')
    f.attrs['empty'] = np.zeros(0)
    f.attrs['null'] = h5py.Empty('S1')
    f.attrs['number'] = 3
    values = np.array([[0, 1.5, -2], [65504, 2.0**-24, np.inf]])
    for kind in ('f2', 'f4', 'f8'):
        g['sub/' + kind] = values.astype(order + kind)
    for kind in ('i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'):
        g['ints/' + kind] = np.array([100 if kind[0] == 'u' else -100]).astype(order + kind)
    f['scalar'] = np.float32(7)
for name, order, lib in (('classic_little', '<', 'earliest'), ('classic_big', '>', 'earliest')):
    with h5py.File(f'{out}/{name}.h5', 'w', libver=lib) as f: fill(f, order)
with h5py.File(f'{out}/latest.h5', 'w', libver='latest') as f:
    g = f.create_group('layer')
    g.attrs['weight_names'] = [b'a:0', b'b:0']
    f.attrs['text'] = 'variable'
    g['sub/f4'] = np.array([[0, 1.5, -2], [65504, 2.0**-24, np.inf]], '<f4')
    f['scalar'] = np.float32(7)
with h5py.File(f'{out}/refused.h5', 'w') as f:
    f['layer/chunked'] = 0
    del f['layer/chunked']
    f.create_dataset('layer/chunked', data=np.ones(8, 'f'), chunks=(4,))
    f.create_dataset('layer/deflated', data=np.ones(8, 'f'), compression='gzip')
    f['type'] = np.dtype('f')
    f.create_dataset('committed', (2,), dtype=f['type'])
    f.create_dataset('filled', (2,), 'f', fillvalue=3)
    f.create_dataset('unwritten', (2,), 'f')
    f['complex'] = np.complex64(1)
    f.create_dataset('null', data=h5py.Empty('f'))
    f['soft'] = h5py.SoftLink('/scalar')
    f['elsewhere/external'] = h5py.ExternalLink('other.h5', '/')
with h5py.File(f'{out}/latest_dense.h5', 'w', libver='latest') as f:
    f.create_group('links')
    for i in range(9): f[f'links/{i}'] = 0
    f.create_group('attributes')
    for i in range(9): f['attributes'].attrs[f'a{i}'] = 'x'
