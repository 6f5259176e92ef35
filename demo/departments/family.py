"""Family: babies, toys and pets."""

from demo.vocabulary import Department, leaf

DEPARTMENT = Department(
    brands={
        "Bellamini": 1.45, "Cuddlewood": 1.25, "Pawsome": 1.1, "Tinyroo": 1.0,
        "Playfield": 1.0, "Bricko": 1.05, "Furrytail": 0.8, "Happyhop": 0.65,
    },
    leaves=(
        leaf(
            "Family > Baby > Strollers", 290,
            nouns="stroller, baby stroller",
            words="pushchair, buggy, pram, baby carriage",
            needs="take my newborn for a walk, push the twins around the park, "
            "get through the airport with a toddler, jog while pushing my little one",
            colour="grey, black, navy, pink", feature="foldable, lightweight, reclining",
            seats="single, double", use="travel, jogging, city",
        ),
        leaf(
            "Family > Baby > Car Seats", 175,
            nouns="car seat, child car seat",
            words="booster, infant carrier, auto chair, vehicle chair",
            needs="drive safely with a newborn, keep my toddler buckled up, "
            "long trip in the back with a three year old, bring the baby home from hospital",
            colour="black, grey, red, navy", stage="newborn, toddler, school age",
            feature="isofix, rotating, reclining", material="cotton, wool, polyester",
        ),
        leaf(
            "Family > Baby > Diaper Bags", 58,
            nouns="diaper bag, changing bag",
            words="nappy bag, mommy tote, baby tote, nappy backpack",
            needs="carry bottles and wipes for the baby, day out with an infant, "
            "organise baby things on the go, something for all the newborn stuff",
            colour="grey, black, beige, pink", type="backpack, tote, shoulder",
            material="cotton, faux leather, polyester", feature="waterproof, insulated, with mat",
        ),
        leaf(
            "Family > Toys > Building Blocks", 35,
            nouns="building blocks, construction set",
            words="toy bricks, stacking cubes, interlocking pieces, brick kit",
            needs="let my son build a castle, creative gift for a five year old, "
            "build towers with a toddler, rainy day engineering for children",
            varies="pack",
            pack="50 piece, 100 piece, 250 piece, 500 piece", material="wood, plastic, foam",
            theme="castle, space, city, animals", use="toddlers, preschool, older kids",
        ),
        leaf(
            "Family > Toys > Jigsaw Puzzles", 18,
            nouns="jigsaw puzzle, picture puzzle",
            words="brain teaser, tile picture game, mosaic game, assembling picture",
            needs="quiet family evening at the table, keep grandma busy on rainy days, "
            "put together a landscape piece by piece, screen free fun for two",
            varies="pack",
            pack="100 piece, 500 piece, 1000 piece, 2000 piece", material="wood, cardboard",
            theme="landscape, animals, city, world map", use="kids, adults, seniors",
        ),
        leaf(
            "Family > Toys > Stuffed Animals", 22,
            nouns="stuffed animal, plush toy",
            words="teddy, cuddly toy, soft toy, furry friend",
            needs="something for my daughter to hug at bedtime, comfort for a child in hospital, "
            "cute gift for a baby shower, friend to sleep with for a toddler",
            varies="size",
            size="20 cm, 35 cm, 60 cm", animal="bear, rabbit, elephant, unicorn, dinosaur",
            colour="brown, white, grey, pink", feature="washable, organic, weighted",
        ),
        leaf(
            "Family > Pets > Dog Beds", 52,
            nouns="dog bed, pet bed",
            words="puppy cushion, hound mattress, canine pillow, doggy basket",
            needs="my puppy sleeps on the cold floor, soft spot for an old labrador, "
            "keep the hound off my couch, resting place for a big retriever",
            varies="size",
            size="small, medium, large, extra large", colour="grey, brown, beige, blue",
            material="memory foam, fleece, cotton", feature="washable, waterproof, heated",
        ),
        leaf(
            "Family > Pets > Cat Trees", 78,
            nouns="cat tree, cat tower",
            words="scratching post, kitty condo, feline climber, kitten furniture",
            needs="my kitten scratches the furniture, indoor climbing for two kittens, "
            "somewhere high for my feline to sleep, keep an indoor feline busy",
            colour="grey, beige, brown, white", height="80 cm, 120 cm, 170 cm",
            material="sisal, wood, plush", feature="wall mounted, with hammock, stable",
        ),
        leaf(
            "Family > Pets > Dog Leashes", 19,
            nouns="dog leash, dog lead",
            words="puppy strap, hound rope, canine tether, walking line for pets",
            needs="walk my puppy in the park, my labrador pulls too hard, "
            "keep hold of a big hound near the road, let my pup sniff around safely",
            varies="length",
            length="1.2 m, 2 m, 5 m", material="leather, nylon, rope",
            colour="black, red, blue, pink", feature="retractable, reflective, padded",
        ),
    ),
)  # fmt: skip
