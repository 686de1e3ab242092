"""Sidecars as other programs write them, with what they keep there for themselves."""

from __future__ import annotations

import codecs
from datetime import datetime

from Src.Media.capture_date import Stamp
from Src.Media.places import Place
from Src.Media.xmp_sidecar import Region, Said

LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   tiff:Make="Canon"
   tiff:Model="Canon EOS 40D"
   tiff:Orientation="1"
   exif:ExifVersion="0221"
   exif:ExposureTime="1/125"
   exif:DateTimeOriginal="2008-05-30T15:56:01.50"
   xmp:ModifyDate="2021-03-04T10:11:12+01:00"
   xmp:CreatorTool="Adobe Photoshop Lightroom Classic 10.1 (Windows)"
   xmp:MetadataDate="2021-03-04T10:11:12+01:00"
   xmp:Rating="3"
   xmp:Label="Rot"
   aux:SerialNumber="0430204837"
   aux:Lens="EF-S17-85mm f/4-5.6 IS USM"
   photoshop:DateCreated="2008-05-30T15:56:01.50"
   photoshop:SidecarForExtension="CR2"
   xmpMM:DocumentID="xmp.did:8e0f0f0a-25d5-ce4c-8a4b-6d35ddd4b9b3"
   xmpMM:OriginalDocumentID="AB5DCE7A34F0E5D1B2B55D40A3D4B9B3"
   xmpMM:InstanceID="xmp.iid:8e0f0f0a-25d5-ce4c-8a4b-6d35ddd4b9b3"
   crs:Version="13.1"
   crs:ProcessVersion="11.0"
   crs:WhiteBalance="As Shot"
   crs:Exposure2012="+0.35"
   crs:HasSettings="True">
   <xmpMM:History>
    <rdf:Seq>
     <rdf:li
      stEvt:action="saved"
      stEvt:instanceID="xmp.iid:8e0f0f0a-25d5-ce4c-8a4b-6d35ddd4b9b3"
      stEvt:when="2021-03-04T10:11:12+01:00"
      stEvt:softwareAgent="Adobe Photoshop Lightroom Classic 10.1 (Windows)"
      stEvt:changed="/metadata"/>
    </rdf:Seq>
   </xmpMM:History>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Familie</rdf:li>
     <rdf:li>Großmutter</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <dc:title>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">Am See</rdf:li>
    </rdf:Alt>
   </dc:title>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>Menschen|Familie|Großmutter</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
   <crs:ToneCurvePV2012>
    <rdf:Seq>
     <rdf:li>0, 0</rdf:li>
     <rdf:li>255, 255</rdf:li>
    </rdf:Seq>
   </crs:ToneCurvePV2012>
   <crs:Look>
    <rdf:Description
     crs:Name="Adobe Color"
     crs:Amount="1">
    <crs:Parameters>
     <rdf:Description
      crs:Version="13.1"
      crs:ProcessVersion="11.0"/>
    </crs:Parameters>
    </rdf:Description>
   </crs:Look>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

DIGIKAM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
    xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:MP="http://ns.microsoft.com/photo/1.2/"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   acdsee:rating="2"
   acdsee:categories="&lt;Categories&gt;&lt;Category Assigned=&quot;1&quot;&gt;Oma&lt;/Category&gt;&lt;/Categories&gt;"
   MicrosoftPhoto:Rating="25"
   digiKam:ColorLabel="0"
   digiKam:PickLabel="3"
   xmp:Rating="2">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>Menschen/Oma</rdf:li>
     <rdf:li>Orte/Köln</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
   <MicrosoftPhoto:LastKeywordXMP>
    <rdf:Bag>
     <rdf:li>Menschen/Oma</rdf:li>
    </rdf:Bag>
   </MicrosoftPhoto:LastKeywordXMP>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>Menschen|Oma</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
   <MP:RegionInfo rdf:parseType="Resource">
    <MP:Regions>
     <rdf:Bag/>
    </MP:Regions>
   </MP:RegionInfo>
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions
     stDim:w="3888"
     stDim:h="2592"
     stDim:unit="pixel"/>
    <mwg-rs:RegionList>
     <rdf:Bag>
      <rdf:li>
       <rdf:Description
        mwg-rs:Name="Oma"
        mwg-rs:Type="Face">
       <mwg-rs:Area
        stArea:x="0.5"
        stArea:y="0.25"
        stArea:w="0.125"
        stArea:h="0.2"
        stArea:unit="normalized"/>
       </rdf:Description>
      </rdf:li>
      <rdf:li rdf:parseType="Resource">
       <mwg-rs:Type>Face</mwg-rs:Type>
       <mwg-rs:Area rdf:parseType="Resource">
        <stArea:x>0.75</stArea:x>
        <stArea:y>0.5</stArea:y>
        <stArea:w>0.1</stArea:w>
        <stArea:h>0.1</stArea:h>
       </mwg-rs:Area>
      </rdf:li>
     </rdf:Bag>
    </mwg-rs:RegionList>
   </mwg-rs:Regions>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Oma</rdf:li>
     <rdf:li>Köln</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <dc:description>
    <rdf:Alt>
     <rdf:li xml:lang="x-default">Ein Tag</rdf:li>
     <rdf:li xml:lang="en-US">A day</rdf:li>
    </rdf:Alt>
   </dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""" + (" " * 100 + "\n") * 20 + '<?xpacket end="w"?>'  # fmt: skip

DARKTABLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"
    xmlns:darktable="http://darktable.sf.net/"
   exif:DateTimeOriginal="2008:05:30 15:56:01.500"
   xmp:Rating="1"
   xmpMM:DerivedFrom="IMG_0001.CR2"
   darktable:import_timestamp="63780000000000000"
   darktable:xmp_version="5"
   darktable:raw_params="0"
   darktable:auto_presets_applied="1"
   darktable:history_end="2"
   darktable:iop_order_version="4">
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="rawprepare"
      darktable:enabled="1"
      darktable:modversion="1"
      darktable:params="480000002200000000000000000000000004000400040004613e0000"
      darktable:multi_name=""
      darktable:multi_priority="0"
      darktable:blendop_version="11"
      darktable:blendop_params="gz12eJxjYGBgkGAAgRNODESDBnsIHll8ANNSGQM="/>
     <rdf:li
      darktable:num="1"
      darktable:operation="exposure"
      darktable:enabled="1"
      darktable:modversion="6"
      darktable:params="00000000000080b90000003f00004842000080c001000000"
      darktable:multi_name="zweite &amp; letzte"
      darktable:multi_priority="0"
      darktable:blendop_version="11"
      darktable:blendop_params="gz12eJxjYGBgkGAAgRNODESDBnsIHll8ANNSGQM="/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

APPLE = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6.0.0">
   <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about=""
            xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
            xmlns:exif="http://ns.adobe.com/exif/1.0/"
            xmlns:dc="http://purl.org/dc/elements/1.1/">
         <photoshop:DateCreated>2019-05-04T12:00:00+02:00</photoshop:DateCreated>
         <exif:GPSLongitudeRef>W</exif:GPSLongitudeRef>
         <exif:GPSLatitudeRef>N</exif:GPSLatitudeRef>
         <exif:GPSLongitude>70.75</exif:GPSLongitude>
         <exif:GPSLatitude>43.5</exif:GPSLatitude>
         <exif:GPSHPositioningError>5</exif:GPSHPositioningError>
         <dc:subject>
            <rdf:Seq>
               <rdf:li>Lake</rdf:li>
            </rdf:Seq>
         </dc:subject>
         <dc:title>
            <rdf:Alt>
               <rdf:li xml:lang="x-default">Sunset</rdf:li>
            </rdf:Alt>
         </dc:title>
      </rdf:Description>
   </rdf:RDF>
</x:xmpmeta>
"""

# One that nobody writes in all its parts: other prefixes, several descriptions, rdf as the default namespace, single
# quotation marks, comments, CDATA, lists in one line, a property that is no list, what is unknown.
ODD = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><!-- before --><m:xmpmeta xmlns:m='adobe:ns:meta/'><RDF xmlns='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\r
<Description a:Label='it&apos;s "so" &gt; 2' xmlns:a='http://ns.adobe.com/xap/1.0/' a:Rating='5'/>\r
<Description xmlns:own='urn:own'><own:thing><![CDATA[<not> & XML]]></own:thing><!-- between --></Description>\r
<Description xmlns:d='http://purl.org/dc/elements/1.1/' d:title='plain' xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'\r
 r:about='urn:photo'><d:creator><Seq><li>Ann</li></Seq></d:creator><d:subject>one</d:subject></Description>\r
</RDF></m:xmpmeta>
<!-- behind -->"""  # fmt: skip

# The same, as far as ExifTool reads it.
PREFIXES = """<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><!-- before --><x:xmpmeta xmlns:x='adobe:ns:meta/'>
<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\r
<r:Description a:Label='it&apos;s "so" &gt; 2' xmlns:a='http://ns.adobe.com/xap/1.0/' a:Rating='5'/>\r
<r:Description xmlns:own='urn:own' own:other='1'><own:thing>a &amp; b</own:thing><!-- between --></r:Description>\r
<r:Description r:about='urn:photo' xmlns:d='http://purl.org/dc/elements/1.1/' d:title='plain'>\r
<d:creator><r:Seq><r:li>Ann</r:li></r:Seq></d:creator><d:subject>one</d:subject></r:Description>\r
</r:RDF></x:xmpmeta>
<!-- behind -->"""

MADE = {
    "lightroom": LIGHTROOM.encode(),
    "digikam": DIGIKAM.encode(),
    "darktable": DARKTABLE.encode(),
    "apple": APPLE.encode(),
    "odd": ODD.encode(),
    "prefixes": PREFIXES.encode(),
    "utf-8 with a mark": codecs.BOM_UTF8 + LIGHTROOM.encode(),
    "utf-16": codecs.BOM_UTF16_LE + LIGHTROOM.encode("utf-16-le"),
    "utf-16 the other way": codecs.BOM_UTF16_BE + DIGIKAM.encode("utf-16-be"),
    "utf-16 without a mark": LIGHTROOM.encode("utf-16-le"),
    "NULs behind": APPLE.encode() + b"\0" * 7,
}

_OF_LIGHTROOM = Said(
    rating=3,
    taken=Stamp(datetime(2008, 5, 30, 15, 56, 1, 500_000), None),
    title="Am See",
    tags=("Familie", "Großmutter"),
)
_OF_DIGIKAM = Said(
    rating=2,
    description="Ein Tag",
    tags=("Oma", "Köln"),
    regions=(Region("Oma", "Face", 0.5, 0.25, 0.125, 0.2), Region(None, "Face", 0.75, 0.5, 0.1, 0.1)),
)
_OF_APPLE = Said(
    taken=Stamp(datetime(2019, 5, 4, 12), 120), place=Place(43.5, -70.75), title="Sunset", tags=("Lake",)
)  # fmt: skip
SAID = {
    "lightroom": _OF_LIGHTROOM,
    "digikam": _OF_DIGIKAM,
    "darktable": Said(rating=1, taken=Stamp(datetime(2008, 5, 30, 15, 56, 1, 500_000), None)),
    "apple": _OF_APPLE,
    "prefixes": Said(rating=5, title="plain", tags=("one",)),
    "odd": Said(rating=5, title="plain", tags=("one",)),
    "utf-8 with a mark": _OF_LIGHTROOM,
    "utf-16": _OF_LIGHTROOM,
    "utf-16 the other way": _OF_DIGIKAM,
    "utf-16 without a mark": _OF_LIGHTROOM,
    "NULs behind": _OF_APPLE,
}
