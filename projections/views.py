"""The list of all views: to add one, write a file beside this one and add a line below."""

from projections.artefact_manifests import ARTEFACT_MANIFESTS
from projections.genesis_maps import GENESIS_MAPS
from projections.track_detail import TRACK_DETAIL
from projections.track_list import TRACK_LIST
from projections.track_versions import TRACK_VERSIONS

VIEWS = (TRACK_LIST, TRACK_DETAIL, TRACK_VERSIONS, GENESIS_MAPS, ARTEFACT_MANIFESTS)
